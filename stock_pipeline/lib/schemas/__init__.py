"""The register of silver and gold tables: one module a table, and its name here.

Times are naive UTC microseconds, prices and volumes double, dates date32. A column that the folder
name carries (`trade_date=`, `year=`, `arrival_date=`) is not in the file: Athena refuses a table
with the same column twice.

Whatever treats a table specially asks its `TableSpec`; there is no other list of tables.
"""

from __future__ import annotations

from typing import Literal

from stock_pipeline.lib.schemas.bars_daily import BARS_DAILY_TABLE
from stock_pipeline.lib.schemas.bars_intraday import BARS_INTRADAY_TABLE
from stock_pipeline.lib.schemas.corporate_actions import CORPORATE_ACTIONS_TABLE
from stock_pipeline.lib.schemas.daily_average_price import DAILY_AVERAGE_PRICE_TABLE
from stock_pipeline.lib.schemas.news import NEWS_TABLE
from stock_pipeline.lib.schemas.sentiment_daily import SENTIMENT_DAILY_TABLE
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec
from stock_pipeline.lib.schemas.volatility_daily import VOLATILITY_DAILY_TABLE
from stock_pipeline.lib.schemas.volatility_intraday import VOLATILITY_INTRADAY_TABLE

#: By name, in the order in which they are made: what a table reads stands before it.
TABLES: dict[str, TableSpec] = {
    table.name: table
    for table in (
        BARS_INTRADAY_TABLE,
        BARS_DAILY_TABLE,
        CORPORATE_ACTIONS_TABLE,
        NEWS_TABLE,
        VOLATILITY_INTRADAY_TABLE,
        VOLATILITY_DAILY_TABLE,
        DAILY_AVERAGE_PRICE_TABLE,
        SENTIMENT_DAILY_TABLE,
    )
}

#: The schemas, by the names that docstrings use.
SILVER_BARS_INTRADAY = BARS_INTRADAY_TABLE.schema
SILVER_BARS_DAILY = BARS_DAILY_TABLE.schema
SILVER_CORPORATE_ACTIONS = CORPORATE_ACTIONS_TABLE.schema
SILVER_NEWS = NEWS_TABLE.schema
GOLD_VOLATILITY_DAILY = VOLATILITY_DAILY_TABLE.schema
GOLD_VOLATILITY_INTRADAY = VOLATILITY_INTRADAY_TABLE.schema
GOLD_DAILY_AVERAGE_PRICE = DAILY_AVERAGE_PRICE_TABLE.schema
GOLD_SENTIMENT_DAILY = SENTIMENT_DAILY_TABLE.schema


def tables_of(layer: Literal["silver", "gold"]) -> list[TableSpec]:
    """The tables of a layer, in the order in which they are made."""
    return [table for table in TABLES.values() if table.layer == layer]


def landed_table(*, daily: bool) -> TableSpec:
    """The table that landed daily or intraday bars belong to."""
    wanted = "daily" if daily else "intraday"
    return next(table for table in TABLES.values() if table.landed == wanted)


__all__ = [
    "BARS_DAILY_TABLE",
    "BARS_INTRADAY_TABLE",
    "CORPORATE_ACTIONS_TABLE",
    "DAILY_AVERAGE_PRICE_TABLE",
    "GOLD_DAILY_AVERAGE_PRICE",
    "GOLD_SENTIMENT_DAILY",
    "GOLD_VOLATILITY_DAILY",
    "GOLD_VOLATILITY_INTRADAY",
    "NEWS_TABLE",
    "SENTIMENT_DAILY_TABLE",
    "SILVER_BARS_DAILY",
    "SILVER_BARS_INTRADAY",
    "SILVER_CORPORATE_ACTIONS",
    "SILVER_NEWS",
    "TABLES",
    "VOLATILITY_DAILY_TABLE",
    "VOLATILITY_INTRADAY_TABLE",
    "Chart",
    "Read",
    "TableSpec",
    "landed_table",
    "tables_of",
]
