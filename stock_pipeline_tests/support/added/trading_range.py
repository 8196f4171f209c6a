"""Gold range of a day's prices."""

from __future__ import annotations

from stock_pipeline.lib.columns import HIGH, LOW, SHARE, SYMBOL, TRADE_DATE, Column
from stock_pipeline.lib.schemas.bars_daily import BARS_DAILY_TABLE
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec

TABLE = TableSpec(
    "gold",
    "trading_range",
    (
        SYMBOL,
        TRADE_DATE,
        Column("top", HIGH.type, "Highest price of all sources.", bounds=HIGH.bounds),
        Column("bottom", LOW.type, "Lowest price of all sources.", at_most=("top",)),
        Column("range_share", "double", "Share of the top that the range makes.", bounds=SHARE),
    ),
    "year",
    ("symbol", "trade_date"),
    description="Grain: one symbol and session; one partition a year. Source: silver bars_daily.",
    reads=(Read("source_table", BARS_DAILY_TABLE),),
    lineage={"top": ((BARS_DAILY_TABLE, "high"),), "bottom": ((BARS_DAILY_TABLE, "low"),)},
    chart=Chart("trade_date", "range_share"),
    days="exactly",
)
