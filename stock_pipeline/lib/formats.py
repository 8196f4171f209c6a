"""Message formats: the schema of their bronze rows and what they hold."""

from __future__ import annotations

import pyarrow as pa

#: Formats whose messages are bars of vendors, as history is.
BAR_FORMATS = ("bar", "alpha_vantage_intraday")


TIMESTAMP = pa.timestamp("us")

#: Where a row came from; closes every bronze row.
KAFKA_COLUMNS = [
    pa.field("kafka_partition", pa.int32(), nullable=False),
    pa.field("kafka_offset", pa.int64(), nullable=False),
    pa.field("kafka_timestamp", TIMESTAMP, nullable=False),
    pa.field("incarnation", pa.int32(), nullable=False),
]

TRADES = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("event_time", TIMESTAMP, nullable=False),
        pa.field("price", pa.float64(), nullable=False),
        pa.field("size", pa.float64(), nullable=False),
        pa.field("trade_id", pa.string()),
        pa.field("venue", pa.string()),
        pa.field("trade_date", pa.date32(), nullable=False),
        *KAFKA_COLUMNS,
    ]
)

BARS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("bar_start", TIMESTAMP, nullable=False),
        pa.field("interval", pa.string(), nullable=False),
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("adjusted_close", pa.float64()),
        pa.field("volume", pa.float64(), nullable=False),
        pa.field("vwap", pa.float64()),
        pa.field("trade_count", pa.int64()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        *KAFKA_COLUMNS,
    ]
)

DAILY_BARS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("adjusted_close", pa.float64()),
        pa.field("volume", pa.float64(), nullable=False),
        pa.field("close_usd", pa.float64()),
        pa.field("source", pa.string(), nullable=False),
        *KAFKA_COLUMNS,
    ]
)

#: Splits and dividends as a source tells of them; `trade_date` is the ex-date.
CORPORATE_ACTIONS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("ratio", pa.float64()),
        pa.field("amount", pa.float64()),
        pa.field("currency", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        *KAFKA_COLUMNS,
    ]
)

#: One row an article and ticker; `event_time` is the time of publication.
NEWS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("event_time", TIMESTAMP, nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("summary", pa.string()),
        pa.field("publisher", pa.string()),
        pa.field("overall_sentiment", pa.float64()),
        pa.field("ticker_sentiment", pa.float64()),
        pa.field("relevance", pa.float64()),
        pa.field("label", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        *KAFKA_COLUMNS,
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("kafka_partition", pa.int32(), nullable=False),
        pa.field("kafka_offset", pa.int64(), nullable=False),
        pa.field("kafka_timestamp", TIMESTAMP, nullable=False),
        pa.field("kafka_key", pa.binary()),
        pa.field("payload", pa.binary()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        #: True when the document's other bars were accepted: a partial reject, not a lost offset.
        pa.field("partial", pa.bool_(), nullable=False),
        pa.field("incarnation", pa.int32(), nullable=False),
    ]
)

#: What a batch of Kafka records looks like before decoding.
RECORDS = pa.schema(
    [
        pa.field("kafka_partition", pa.int32(), nullable=False),
        pa.field("kafka_offset", pa.int64(), nullable=False),
        pa.field("kafka_timestamp", TIMESTAMP, nullable=False),
        pa.field("kafka_key", pa.binary()),
        pa.field("payload", pa.binary()),
    ]
)

#: Bronze table of each message format.
BRONZE_SCHEMAS: dict[str, pa.Schema] = {
    "trade": TRADES,
    "bar": BARS,
    "alpha_vantage_intraday": BARS,
    "index_daily": DAILY_BARS,
    "corporate_action": CORPORATE_ACTIONS,
    "alpha_vantage_news": NEWS,
    "news": NEWS,
}
