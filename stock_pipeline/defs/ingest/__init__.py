"""Bronze and quarantine: batches of Kafka offsets, exactly once."""
