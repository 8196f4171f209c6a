"""What every format has in common: the records that come, those rejected, and Kafka's columns."""

from __future__ import annotations

from stock_pipeline.lib.columns import Column

KAFKA_PARTITION = Column("kafka_partition", "int32", "Partition of the record.")
KAFKA_OFFSET = Column("kafka_offset", "int64", "Offset of the record.")
KAFKA_TIMESTAMP = Column(
    "kafka_timestamp", "timestamp[us]", "Kafka's time of the record, UTC.", unit="UTC"
)
KAFKA_KEY = Column("kafka_key", "binary", "Key of the record, as it came.", nullable=True)
PAYLOAD = Column(
    "payload",
    "binary",
    "Value of the record, byte for byte; NULL for a tombstone.",
    nullable=True,
)
INCARNATION = Column(
    "incarnation",
    "int32",
    "Life of the topic: 1, and one more each time a new one was adopted.",
)

#: Where a row came from; closes every bronze row.
KAFKA_COLUMNS = (KAFKA_PARTITION, KAFKA_OFFSET, KAFKA_TIMESTAMP, INCARNATION)

QUARANTINE_COLUMNS = (
    KAFKA_PARTITION,
    KAFKA_OFFSET,
    KAFKA_TIMESTAMP,
    KAFKA_KEY,
    PAYLOAD,
    Column("reason", "string", "Why it was rejected: one of eight codes."),
    Column("detail", "string", "Why it was rejected, in a sentence."),
    # A partial reject is no lost offset.
    Column("partial", "bool", "Whether the rest of the document was accepted."),
    INCARNATION,
)

#: What a batch of Kafka records looks like before decoding.
RECORD_COLUMNS = (KAFKA_PARTITION, KAFKA_OFFSET, KAFKA_TIMESTAMP, KAFKA_KEY, PAYLOAD)
