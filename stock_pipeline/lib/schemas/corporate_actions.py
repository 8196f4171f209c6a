"""Silver splits and dividends."""

from __future__ import annotations

from stock_pipeline.lib.columns import (
    AMOUNT_A_SHARE,
    CURRENCY,
    KIND,
    RATIO,
    SOURCE,
    SYMBOL,
    Column,
)
from stock_pipeline.lib.formats.grains import ACTION
from stock_pipeline.lib.schemas.common import LATEST_RECORD, SILVER_SETTINGS
from stock_pipeline.lib.schemas.spec import TableSpec

CORPORATE_ACTIONS_TABLE = TableSpec(
    "silver",
    "corporate_actions",
    (
        SYMBOL,
        Column(
            "ex_date",
            "date32[day]",
            "First date on which a share trades without the dividend, or split.",
            unit="date",
        ),
        KIND,
        SOURCE,
        RATIO,
        AMOUNT_A_SHARE,
        CURRENCY,
        *LATEST_RECORD,
    ),
    "year",
    ("symbol", "ex_date", "kind", "source"),
    description=(
        "Grain: one split or dividend of a symbol, ex-date and source; one partition a year of the "
        "ex-date. Source: what vendors told last. Consumer: gold volatility_daily, whose returns "
        "they adjust: a split that arrives today makes the years due that read it."
    ),
    settings=SILVER_SETTINGS,
    lineage={
        "ex_date": ((ACTION, "trade_date"),),
        **{c: ((ACTION, c),) for c in ("symbol", "kind", "source", "ratio", "amount", "currency")},
    },
    every_session=False,
)
