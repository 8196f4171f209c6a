"""What several silver and gold tables have in common."""

from __future__ import annotations

from stock_pipeline.lib.columns import AMOUNT, PRICE, VOLATILITY, Column

INCARNATION = Column(
    "incarnation", "int32", "Life of the Kafka topic that the latest record came from."
)
KAFKA_TIMESTAMP = Column(
    "kafka_timestamp", "timestamp[us]", "Kafka's time of the latest record, UTC.", unit="UTC"
)
KAFKA_PARTITION = Column("kafka_partition", "int32", "Partition of the latest record.")
KAFKA_OFFSET = Column("kafka_offset", "int64", "Offset of the latest record.")

#: The last record that went into a silver row; the larger one wins when vendors correct a bar.
LATEST_RECORD = (INCARNATION, KAFKA_TIMESTAMP, KAFKA_PARTITION, KAFKA_OFFSET)

MEAN_PRICE = Column(
    "mean_price",
    "double",
    "Unweighted mean of the trade prices; NULL for vendors' bars.",
    nullable=True,
    unit="price",
    bounds=PRICE,
)
SESSIONS_PER_YEAR = Column(
    "sessions_per_year",
    "double",
    "For annualising: 252, or 365 around the clock.",
    unit="sessions",
    bounds=AMOUNT,
)
LOG_RETURN = Column(
    "log_return",
    "double",
    "Log return of the day, adjusted for splits and dividends.",
    nullable=True,
)
REALIZED_VOLATILITY = Column(
    "realized_volatility",
    "double",
    "Square root of the variance, times sessions a year.",
    nullable=True,
    unit="annualised fraction",
    bounds=VOLATILITY,
)

#: What silver depends on besides SQL. Not the feeds: a new one must not make every partition due.
SILVER_SETTINGS = ("calendars", "sessions_per_year", "sessions_per_year_247")

#: Warnings that bars of any length have.
BAR_CHECKS = ("sessions_complete", "prices_plausible", "times_plausible", "sources_agree")
