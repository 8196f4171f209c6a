"""Silver quotes."""

from __future__ import annotations

from dataclasses import replace

from stock_pipeline.lib.columns import SYMBOL, Column
from stock_pipeline.lib.schemas.common import LATEST_RECORD, SILVER_SETTINGS
from stock_pipeline.lib.schemas.spec import TableSpec
from stock_pipeline_tests.support.added.quote import ASK, BID, QUOTE

TABLE = TableSpec(
    "silver",
    "quotes",
    (
        SYMBOL,
        Column("quoted_at", "timestamp[us]", "When it was quoted, UTC."),
        replace(BID, at_most=("ask",)),
        ASK,
        *LATEST_RECORD,
    ),
    "trade_date",
    ("symbol", "quoted_at"),
    description="Grain: one quote of a symbol and instant; one partition a session date.",
    settings=SILVER_SETTINGS,
    lineage={"quoted_at": ((QUOTE, "event_time"),)},
)
