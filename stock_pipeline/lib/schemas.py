"""The Arrow schema of every table, and the specification of every silver and gold table.

Times are naive UTC microseconds, prices and volumes double, dates date32. A column that the folder
name carries (`trade_date=`, `year=`, `arrival_date=`) is not in the file: Athena refuses a table
with the same column twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from stock_pipeline.lib.formats.arrow import TIMESTAMP

#: The last record that went into a silver row; the larger one wins when vendors correct a bar.
LATEST_RECORD_COLUMNS = [
    pa.field("incarnation", pa.int32(), nullable=False),
    pa.field("kafka_timestamp", TIMESTAMP, nullable=False),
    pa.field("kafka_partition", pa.int32(), nullable=False),
    pa.field("kafka_offset", pa.int64(), nullable=False),
]

SILVER_BARS_INTRADAY = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("bar_start", TIMESTAMP, nullable=False),
        pa.field("interval", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("adjusted_close", pa.float64()),
        pa.field("volume", pa.float64(), nullable=False),
        pa.field("vwap", pa.float64()),
        #: Unweighted mean of the trade prices; NULL for vendor bars.
        pa.field("mean_price", pa.float64()),
        pa.field("trade_count", pa.int64()),
        #: Regular session that the bar's date has; NULL on a date without one.
        pa.field("session_open", TIMESTAMP),
        pa.field("session_close", TIMESTAMP),
        pa.field("sessions_per_year", pa.float64(), nullable=False),
        *LATEST_RECORD_COLUMNS,
    ]
)

SILVER_BARS_DAILY = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("adjusted_close", pa.float64()),
        pa.field("volume", pa.float64(), nullable=False),
        pa.field("close_usd", pa.float64()),
        #: Of a day rolled up from intraday bars: the unweighted mean trade price and its count,
        #: and the mean close of the finest bars and their count. NULL for vendors' daily bars.
        pa.field("mean_price", pa.float64()),
        pa.field("trade_count", pa.int64()),
        pa.field("mean_close", pa.float64()),
        pa.field("bar_count", pa.int64()),
        pa.field("sessions_per_year", pa.float64(), nullable=False),
        *LATEST_RECORD_COLUMNS,
    ]
)

SILVER_CORPORATE_ACTIONS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("ex_date", pa.date32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        #: Of a split: new shares for one old; NULL for a dividend.
        pa.field("ratio", pa.float64()),
        #: Of a dividend: cash a share, in the currency of the price; NULL for a split.
        pa.field("amount", pa.float64()),
        pa.field("currency", pa.string()),
        *LATEST_RECORD_COLUMNS,
    ]
)

SILVER_NEWS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("published_at", TIMESTAMP, nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("summary", pa.string()),
        pa.field("publisher", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("overall_sentiment", pa.float64()),
        #: What the article says of the symbol, -1 to 1; by `score_from`: vendor or vader.
        pa.field("sentiment", pa.float64(), nullable=False),
        pa.field("score_from", pa.string(), nullable=False),
        pa.field("relevance", pa.float64()),
        pa.field("label", pa.string()),
        *LATEST_RECORD_COLUMNS,
    ]
)

GOLD_VOLATILITY_DAILY = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("window_days", pa.int32(), nullable=False),
        #: Of the day, adjusted for splits and dividends; the same in every window's row.
        pa.field("log_return", pa.float64()),
        pa.field("close_to_close", pa.float64()),
        pa.field("parkinson", pa.float64()),
        pa.field("garman_klass", pa.float64()),
        pa.field("rogers_satchell", pa.float64()),
        pa.field("yang_zhang", pa.float64()),
        pa.field("ewma", pa.float64()),
        pa.field("observations", pa.int32(), nullable=False),
    ]
)

GOLD_VOLATILITY_INTRADAY = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("window_label", pa.string(), nullable=False),
        pa.field("window_start", TIMESTAMP, nullable=False),
        pa.field("complete", pa.bool_(), nullable=False),
        pa.field("realized_variance", pa.float64()),
        pa.field("bipower_variation", pa.float64()),
        pa.field("jump_share", pa.float64()),
        pa.field("realized_volatility", pa.float64()),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("vwap", pa.float64()),
        pa.field("trade_count", pa.int64()),
        pa.field("bar_count", pa.int64(), nullable=False),
        pa.field("last_return_zscore", pa.float64()),
    ]
)

GOLD_DAILY_AVERAGE_PRICE = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("avg_price", pa.float64(), nullable=False),
        pa.field("basis", pa.string(), nullable=False),
        pa.field("observations", pa.int64(), nullable=False),
    ]
)

GOLD_SENTIMENT_DAILY = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("article_count", pa.int64(), nullable=False),
        pa.field("mean_sentiment", pa.float64()),
        pa.field("vader_share", pa.float64(), nullable=False),
        pa.field("log_return", pa.float64()),
        pa.field("close_to_close_20", pa.float64()),
        pa.field("realized_volatility", pa.float64()),
    ]
)


@dataclass(frozen=True)
class TableSpec:
    """A silver or gold table: one object a partition.

    Attributes:
        layer: `silver` or `gold`.
        name: Table name, also the name of its SQL file and of its Glue table behind the layer.
        schema: Columns of the file, without the partition column.
        partition_column: Folder column; `trade_date` holds an ISO date, `year` four digits.
        key: Columns that identify a row within a partition; also the sort order.
    """

    layer: Literal["silver", "gold"]
    name: str
    schema: pa.Schema
    partition_column: Literal["trade_date", "year"]
    key: tuple[str, ...]


BARS_INTRADAY_TABLE = TableSpec(
    "silver",
    "bars_intraday",
    SILVER_BARS_INTRADAY,
    "trade_date",
    ("symbol", "bar_start", "interval", "source"),
)
BARS_DAILY_TABLE = TableSpec(
    "silver", "bars_daily", SILVER_BARS_DAILY, "year", ("symbol", "trade_date", "source")
)
CORPORATE_ACTIONS_TABLE = TableSpec(
    "silver",
    "corporate_actions",
    SILVER_CORPORATE_ACTIONS,
    "year",
    ("symbol", "ex_date", "kind", "source"),
)
NEWS_TABLE = TableSpec("silver", "news", SILVER_NEWS, "year", ("symbol", "url"))
VOLATILITY_DAILY_TABLE = TableSpec(
    "gold",
    "volatility_daily",
    GOLD_VOLATILITY_DAILY,
    "year",
    ("symbol", "trade_date", "window_days"),
)
VOLATILITY_INTRADAY_TABLE = TableSpec(
    "gold",
    "volatility_intraday",
    GOLD_VOLATILITY_INTRADAY,
    "trade_date",
    ("symbol", "window_label", "window_start"),
)
DAILY_AVERAGE_PRICE_TABLE = TableSpec(
    "gold", "daily_average_price", GOLD_DAILY_AVERAGE_PRICE, "year", ("symbol", "trade_date")
)
SENTIMENT_DAILY_TABLE = TableSpec(
    "gold", "sentiment_daily", GOLD_SENTIMENT_DAILY, "year", ("symbol", "trade_date")
)

SILVER_TABLES = (BARS_INTRADAY_TABLE, BARS_DAILY_TABLE, CORPORATE_ACTIONS_TABLE, NEWS_TABLE)
GOLD_TABLES = (
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    SENTIMENT_DAILY_TABLE,
)

#: By name.
TABLES = {table.name: table for table in (*SILVER_TABLES, *GOLD_TABLES)}
