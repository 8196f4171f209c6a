"""Gold average price of a day."""

from __future__ import annotations

from stock_pipeline.lib.columns import AMOUNT, PRICE, SYMBOL, TRADE_DATE, Column
from stock_pipeline.lib.schemas.bars_daily import BARS_DAILY_TABLE
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec

DAILY_AVERAGE_PRICE_TABLE = TableSpec(
    "gold",
    "daily_average_price",
    (
        SYMBOL,
        TRADE_DATE,
        Column("avg_price", "double", "Mean price of the date.", unit="price", bounds=PRICE),
        Column(
            "basis",
            "string",
            "What avg_price is the mean of: trades, intraday closes or the daily close.",
        ),
        Column("observations", "int64", "Trades or bars that it is the mean of.", bounds=AMOUNT),
    ),
    "year",
    ("symbol", "trade_date"),
    description=(
        "Grain: one symbol and session; one partition a year. The mean trade price where trades "
        "exist, else the mean of intraday closes, else the daily close; `basis` says which. "
        "Source: silver bars_daily. Consumer: Athena, dashboards."
    ),
    reads=(Read("source_table", BARS_DAILY_TABLE),),
    settings=("precedence",),
    lineage={
        "symbol": ((BARS_DAILY_TABLE, "symbol"),),
        "trade_date": ((BARS_DAILY_TABLE, "trade_date"),),
        "avg_price": tuple((BARS_DAILY_TABLE, c) for c in ("mean_price", "mean_close", "close")),
        "observations": tuple((BARS_DAILY_TABLE, c) for c in ("trade_count", "bar_count")),
    },
    chart=Chart("trade_date", "avg_price"),
    days="exactly",
)
