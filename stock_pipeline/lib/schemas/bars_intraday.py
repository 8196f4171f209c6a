"""Silver bars of a part of a session: from trades, and from vendors."""

from __future__ import annotations

from stock_pipeline.lib.columns import (
    ADJUSTED_CLOSE,
    BAR_START,
    CLOSE,
    HIGH,
    INTERVAL,
    LOW,
    OPEN,
    SOURCE,
    SYMBOL,
    TRADE_COUNT,
    VOLUME,
    VWAP,
    Column,
)
from stock_pipeline.lib.formats.grains import BAR, TRADE
from stock_pipeline.lib.schemas.common import (
    BAR_CHECKS,
    LATEST_RECORD,
    MEAN_PRICE,
    SESSIONS_PER_YEAR,
    SILVER_SETTINGS,
)
from stock_pipeline.lib.schemas.spec import Chart, TableSpec

BARS_INTRADAY_TABLE = TableSpec(
    "silver",
    "bars_intraday",
    (
        SYMBOL,
        BAR_START,
        INTERVAL,
        SOURCE,
        OPEN,
        HIGH,
        LOW,
        CLOSE,
        ADJUSTED_CLOSE,
        VOLUME,
        VWAP,
        MEAN_PRICE,
        TRADE_COUNT,
        Column(
            "session_open",
            "timestamp[us]",
            "Open of the regular session of the date, UTC; NULL on a date without one.",
            nullable=True,
            unit="UTC",
            at_most=("session_close",),
        ),
        Column(
            "session_close",
            "timestamp[us]",
            "Close of the regular session of the date, UTC; NULL on a date without one.",
            nullable=True,
            unit="UTC",
        ),
        SESSIONS_PER_YEAR,
        *LATEST_RECORD,
    ),
    "trade_date",
    ("symbol", "bar_start", "interval", "source"),
    description=(
        "Grain: one bar of a symbol, interval, start and source; one partition a session date. "
        "Source: 1-minute bars of trades, each trade counted once however often or late it came, "
        "and vendors' bars, live and from history, of which the latest correction holds. "
        "Consumer: silver bars_daily and gold volatility_intraday."
    ),
    settings=SILVER_SETTINGS,
    lineage={
        **{c: ((BAR, c),) for c in ("symbol", "open", "high", "low", "close", "volume")},
        "bar_start": ((TRADE, "event_time"), (BAR, "bar_start")),
    },
    chart=Chart("bar_start", "close", series=("interval", "source")),
    checks=BAR_CHECKS,
    landed="intraday",
)
