"""Gold volatility by trailing windows of days."""

from __future__ import annotations

from stock_pipeline.lib.columns import AMOUNT, SOURCE, SYMBOL, TRADE_DATE, VOLATILITY, Column
from stock_pipeline.lib.schemas.bars_daily import BARS_DAILY_TABLE
from stock_pipeline.lib.schemas.common import LOG_RETURN
from stock_pipeline.lib.schemas.corporate_actions import CORPORATE_ACTIONS_TABLE
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec

#: Calendar years before its own whose bars and actions a year reads.
YEARS_BEFORE = 2

_RETURNS = (
    *((BARS_DAILY_TABLE, c) for c in ("close", "adjusted_close")),
    *((CORPORATE_ACTIONS_TABLE, c) for c in ("ex_date", "ratio", "amount")),
)
_PRICES = tuple((BARS_DAILY_TABLE, c) for c in ("open", "high", "low", "close", "adjusted_close"))


def _volatility(name: str, meaning: str) -> Column:
    return Column(
        name,
        "double",
        meaning,
        nullable=True,
        unit="annualised fraction",
        bounds=VOLATILITY,
    )


VOLATILITY_DAILY_TABLE = TableSpec(
    "gold",
    "volatility_daily",
    (
        SYMBOL,
        TRADE_DATE,
        SOURCE,
        Column(
            "window_days",
            "int32",
            "Length of the window in sessions; full windows only.",
            unit="sessions",
        ),
        # The same in every window's row.
        LOG_RETURN,
        _volatility("close_to_close", "Annualised standard deviation of daily log returns."),
        _volatility("parkinson", "Annualised volatility from high and low."),
        _volatility("garman_klass", "Annualised volatility from open, high, low and close."),
        _volatility(
            "rogers_satchell",
            "Annualised volatility from open, high, low and close, free of drift.",
        ),
        _volatility("yang_zhang", "Annualised volatility with overnight jumps, free of drift."),
        _volatility(
            "ewma",
            "Annualised exponentially weighted volatility, lambda 0.94 unless set otherwise.",
        ),
        Column("observations", "int32", "Returns or prices in the window.", bounds=AMOUNT),
    ),
    "year",
    ("symbol", "trade_date", "window_days"),
    description=(
        "Grain: one symbol, session and window; one partition a year. Annualised volatility by "
        "six estimators over full windows. Source: silver bars_daily of the year and the two "
        "before, the first source of `source_precedence`, adjusted by adjusted_close, else by the "
        "splits and dividends of silver corporate_actions; EWMA goes on from the year before. "
        "Consumer: Athena, dashboards, risk."
    ),
    reads=(
        Read("source_table", BARS_DAILY_TABLE, YEARS_BEFORE),
        Read("actions", CORPORATE_ACTIONS_TABLE, YEARS_BEFORE),
    ),
    settings=("precedence", "windows", "ewma_lambda"),
    lineage={
        "symbol": ((BARS_DAILY_TABLE, "symbol"),),
        "trade_date": ((BARS_DAILY_TABLE, "trade_date"),),
        **dict.fromkeys(("log_return", "close_to_close", "ewma"), _RETURNS),
        **dict.fromkeys(("parkinson", "garman_klass", "rogers_satchell", "yang_zhang"), _PRICES),
    },
    chart=Chart("trade_date", "close_to_close", series=("window_days", "source")),
    days="some",
    carries_state=True,
)
