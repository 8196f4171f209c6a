"""Gold tables from bars and news in memory, as `GoldMaker` makes them from the lake."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stock_pipeline.lib.schemas import (
    DAILY_AVERAGE_PRICE_TABLE,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    TableSpec,
)
from stock_pipeline.tables.reads import key_of, with_partition
from stock_pipeline.tables.volatility import gold_rows

#: No rows of a table by date say their date: any will do.
DAY = "2024-03-01"


def volatility_intraday(bars: pa.Table, precedence: Sequence[str]) -> pa.Table:
    """GOLD_VOLATILITY_INTRADAY of one date's SILVER_BARS_INTRADAY."""
    return _made(VOLATILITY_INTRADAY_TABLE, bars, DAY, precedence)


def daily_average_price(bars: pa.Table, year: int, precedence: Sequence[str]) -> pa.Table:
    """GOLD_DAILY_AVERAGE_PRICE of the year's SILVER_BARS_DAILY."""
    return _made(DAILY_AVERAGE_PRICE_TABLE, bars, f"{year:04d}", precedence)


def sentiment_daily(
    news: pa.Table, year: int, volatility_daily: pa.Table, volatility_intraday: pa.Table
) -> pa.Table:
    """GOLD_SENTIMENT_DAILY of the year's SILVER_NEWS.

    Args:
        news: Of the year.
        year: The year.
        volatility_daily: GOLD_VOLATILITY_DAILY of the year.
        volatility_intraday: GOLD_VOLATILITY_INTRADAY with the ISO `trade_date` of its folders.
    """
    daily = _dated(VOLATILITY_DAILY_TABLE, volatility_daily, f"{year:04d}")
    others = {"volatility_daily": daily, "volatility_intraday": volatility_intraday}
    return _made(SENTIMENT_DAILY_TABLE, news, f"{year:04d}", (), others)


def _made(
    table: TableSpec,
    rows: pa.Table,
    partition: str,
    precedence: Sequence[str],
    others: dict[str, pa.Table] | None = None,
) -> pa.Table:
    needed = table.reads[0]
    tables = {needed.parameter: _dated(needed.table, rows, partition), **(others or {})}
    return gold_rows(table, tables, partition, precedence)


def _dated(table: TableSpec, rows: pa.Table, partition: str) -> pa.Table:
    """With the partition column that the table has in the lake."""
    if table.partition_column == "trade_date":
        return with_partition(table, {key_of(table, partition): rows})
    years = [f"{day.year:04d}" for day in rows["trade_date"].to_pylist()]
    return rows.append_column("year", pa.array(years, pa.string()))
