"""Real-time market data from Kafka to a lake of Parquet, exactly once."""
