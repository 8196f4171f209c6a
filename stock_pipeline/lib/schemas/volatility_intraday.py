"""Gold realised volatility by windows of a session."""

from __future__ import annotations

from dataclasses import replace

from stock_pipeline.lib.columns import (
    AMOUNT,
    HIGH,
    LOW,
    SHARE,
    SYMBOL,
    TRADE_COUNT,
    VWAP,
    Column,
)
from stock_pipeline.lib.schemas.bars_intraday import BARS_INTRADAY_TABLE
from stock_pipeline.lib.schemas.common import REALIZED_VOLATILITY
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec

VOLATILITY_INTRADAY_TABLE = TableSpec(
    "gold",
    "volatility_intraday",
    (
        SYMBOL,
        Column("window_label", "string", "5m, 15m, 30m, 1h from the session's open, or session."),
        Column("window_start", "timestamp[us]", "Start of the window, UTC.", unit="UTC"),
        Column("complete", "bool", "Whether the window has ended and lies inside the session."),
        Column(
            "realized_variance",
            "double",
            "Sum of squared log returns of 1-minute bars.",
            nullable=True,
            bounds=AMOUNT,
        ),
        Column(
            "bipower_variation",
            "double",
            "Jump-robust variance: (pi/2) times the sum of |r| times the |r| before.",
            nullable=True,
            bounds=AMOUNT,
        ),
        Column(
            "jump_share",
            "double",
            "Share of the variance that jumps make: max(0, RV - BV) / RV.",
            nullable=True,
            bounds=SHARE,
        ),
        REALIZED_VOLATILITY,
        HIGH,
        # A window has neither open nor close.
        replace(LOW, at_most=("high",)),
        VWAP,
        TRADE_COUNT,
        Column(
            "bar_count",
            "int64",
            "Number of bars that it is made from.",
            unit="bars",
            bounds=AMOUNT,
        ),
        Column(
            "last_return_zscore",
            "double",
            "Last 1-minute return over the deviation of those before it.",
            nullable=True,
        ),
    ),
    "trade_date",
    ("symbol", "window_label", "window_start"),
    description=(
        "Grain: one symbol and window of 5m, 15m, 30m, 1h or the session; one partition a session "
        "date. Realized variance, jumps and volatility. Source: 1-minute bars of silver "
        "bars_intraday inside the regular session. Consumer: Athena, dashboards, the live page."
    ),
    reads=(Read("source_table", BARS_INTRADAY_TABLE),),
    settings=("precedence",),
    lineage={
        "symbol": ((BARS_INTRADAY_TABLE, "symbol"),),
        "window_start": ((BARS_INTRADAY_TABLE, "bar_start"),),
        **dict.fromkeys(
            ("realized_variance", "bipower_variation", "jump_share", "realized_volatility"),
            ((BARS_INTRADAY_TABLE, "close"),),
        ),
        "high": ((BARS_INTRADAY_TABLE, "high"),),
        "low": ((BARS_INTRADAY_TABLE, "low"),),
        "vwap": ((BARS_INTRADAY_TABLE, "vwap"), (BARS_INTRADAY_TABLE, "volume")),
        "trade_count": ((BARS_INTRADAY_TABLE, "trade_count"),),
    },
    chart=Chart("window_start", "realized_volatility", series=("window_label",)),
)
