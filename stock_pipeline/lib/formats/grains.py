"""What bronze rows are: trades, bars, daily bars, corporate actions, articles."""

from __future__ import annotations

from stock_pipeline.lib.columns import (
    ADJUSTED_CLOSE,
    AMOUNT_A_SHARE,
    BAR_START,
    CLOSE,
    CLOSE_USD,
    CURRENCY,
    HIGH,
    INTERVAL,
    KIND,
    LABEL,
    LOW,
    OPEN,
    OVERALL_SENTIMENT,
    PUBLISHER,
    RATIO,
    RELEVANCE,
    SOURCE,
    SUMMARY,
    SYMBOL,
    TITLE,
    TRADE_COUNT,
    TRADE_DATE,
    URL,
    VOLUME,
    VWAP,
    Column,
)
from stock_pipeline.lib.formats.records import KAFKA_COLUMNS
from stock_pipeline.lib.formats.spec import Grain

TRADE = Grain(
    "trade",
    (
        SYMBOL,
        Column(
            "event_time",
            "timestamp[us]",
            "When the trade happened, by its source, UTC.",
            unit="UTC",
        ),
        Column(
            "price",
            "double",
            "Price of the trade, in the currency of the listing.",
            unit="price",
        ),
        Column("size", "double", "Units traded.", unit="units"),
        Column(
            "trade_id",
            "string",
            "The source's id of the trade; the same id counts once.",
            nullable=True,
        ),
        Column("venue", "string", "Where it traded, as the source writes it.", nullable=True),
        TRADE_DATE,
        *KAFKA_COLUMNS,
    ),
    silver=("bars_intraday",),
)

BAR = Grain(
    "bar",
    (
        SYMBOL,
        BAR_START,
        INTERVAL,
        OPEN,
        HIGH,
        LOW,
        CLOSE,
        ADJUSTED_CLOSE,
        VOLUME,
        VWAP,
        TRADE_COUNT,
        SOURCE,
        TRADE_DATE,
        *KAFKA_COLUMNS,
    ),
    silver=("bars_intraday", "bars_daily"),
)

DAILY_BAR = Grain(
    "daily_bar",
    (
        SYMBOL,
        TRADE_DATE,
        OPEN,
        HIGH,
        LOW,
        CLOSE,
        ADJUSTED_CLOSE,
        VOLUME,
        CLOSE_USD,
        SOURCE,
        *KAFKA_COLUMNS,
    ),
    silver=("bars_daily",),
)

#: Splits and dividends as a source tells of them.
ACTION = Grain(
    "action",
    (
        SYMBOL,
        Column("trade_date", "date32[day]", "The ex-date.", unit="date"),
        KIND,
        RATIO,
        AMOUNT_A_SHARE,
        CURRENCY,
        SOURCE,
        *KAFKA_COLUMNS,
    ),
    silver=("corporate_actions",),
)

#: One row an article and ticker.
ARTICLE = Grain(
    "article",
    (
        SYMBOL,
        Column("event_time", "timestamp[us]", "When the article was published, UTC.", unit="UTC"),
        URL,
        TITLE,
        SUMMARY,
        PUBLISHER,
        OVERALL_SENTIMENT,
        Column(
            "ticker_sentiment",
            "double",
            "The vendor's score of what the article says of the symbol, -1 to 1.",
            nullable=True,
        ),
        RELEVANCE,
        LABEL,
        SOURCE,
        TRADE_DATE,
        *KAFKA_COLUMNS,
    ),
    silver=("news",),
)
