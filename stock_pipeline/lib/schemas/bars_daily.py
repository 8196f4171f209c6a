"""Silver bars of a session: from vendors, and rolled up from intraday bars."""

from __future__ import annotations

from stock_pipeline.lib.columns import (
    ADJUSTED_CLOSE,
    AMOUNT,
    CLOSE,
    CLOSE_USD,
    HIGH,
    LOW,
    OPEN,
    PRICE,
    SOURCE,
    SYMBOL,
    TRADE_COUNT,
    TRADE_DATE,
    VOLUME,
    Column,
)
from stock_pipeline.lib.formats.grains import DAILY_BAR
from stock_pipeline.lib.schemas.bars_intraday import BARS_INTRADAY_TABLE
from stock_pipeline.lib.schemas.common import (
    BAR_CHECKS,
    LATEST_RECORD,
    MEAN_PRICE,
    SESSIONS_PER_YEAR,
    SILVER_SETTINGS,
)
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec

BARS_DAILY_TABLE = TableSpec(
    "silver",
    "bars_daily",
    (
        SYMBOL,
        TRADE_DATE,
        SOURCE,
        OPEN,
        HIGH,
        LOW,
        CLOSE,
        ADJUSTED_CLOSE,
        VOLUME,
        CLOSE_USD,
        # A rolled-up row has these, and counts its bars; vendors' daily bars have none of them.
        MEAN_PRICE,
        TRADE_COUNT,
        Column(
            "mean_close",
            "double",
            "Mean close of the finest intraday bars; NULL for vendors' daily bars.",
            nullable=True,
            unit="price",
            bounds=PRICE,
        ),
        Column(
            "bar_count",
            "int64",
            "Number of bars that it is made from.",
            nullable=True,
            unit="bars",
            bounds=AMOUNT,
        ),
        SESSIONS_PER_YEAR,
        *LATEST_RECORD,
    ),
    "year",
    ("symbol", "trade_date", "source"),
    description=(
        "Grain: one session of a symbol and source; one partition a year. Source: vendors' daily "
        "bars, live and from history, as they were last corrected, and the roll-up of intraday "
        "bars over the regular session. Consumer: gold volatility_daily and daily_average_price."
    ),
    reads=(Read("bars", BARS_INTRADAY_TABLE),),
    settings=SILVER_SETTINGS,
    lineage={
        **{
            c: ((BARS_INTRADAY_TABLE, c), (DAILY_BAR, c))
            for c in ("symbol", "open", "high", "low", "close", "volume")
        },
        "adjusted_close": ((DAILY_BAR, "adjusted_close"),),
        "mean_price": ((BARS_INTRADAY_TABLE, "mean_price"),),
        "trade_count": ((BARS_INTRADAY_TABLE, "trade_count"),),
        "mean_close": ((BARS_INTRADAY_TABLE, "close"),),
    },
    chart=Chart("trade_date", "close", series=("source",)),
    checks=(*BAR_CHECKS, "days_agree_with_trades"),
    landed="daily",
)
