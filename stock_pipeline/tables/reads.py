"""What each gold table reads: the one place that SQL, the due rule and parity take it from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from stock_pipeline.lake import layout
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    CORPORATE_ACTIONS_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    NEWS_TABLE,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    TableSpec,
)

#: Calendar years before its own whose bars and actions a year of volatility_daily reads.
YEARS_BEFORE = 2


@dataclass(frozen=True)
class Read:
    """A table that a gold table is made from.

    Attributes:
        parameter: Its name in the SQL file.
        table: The table.
        years_before: How many earlier partitions are read besides the same one.
    """

    parameter: str
    table: TableSpec
    years_before: int = 0


#: By gold table. The first is the one that a partition needs, the others may be missing.
READS: Mapping[str, tuple[Read, ...]] = {
    VOLATILITY_DAILY_TABLE.name: (
        Read("source_table", BARS_DAILY_TABLE, YEARS_BEFORE),
        Read("actions", CORPORATE_ACTIONS_TABLE, YEARS_BEFORE),
    ),
    VOLATILITY_INTRADAY_TABLE.name: (Read("source_table", BARS_INTRADAY_TABLE),),
    DAILY_AVERAGE_PRICE_TABLE.name: (Read("source_table", BARS_DAILY_TABLE),),
    SENTIMENT_DAILY_TABLE.name: (
        Read("source_table", NEWS_TABLE),
        Read("volatility_daily", VOLATILITY_DAILY_TABLE),
        Read("volatility_intraday", VOLATILITY_INTRADAY_TABLE),
    ),
}


def key_of(table: TableSpec, partition: str) -> str:
    """Key of a partition's object."""
    return layout.table_object_key(table.layer, table.name, table.partition_column, partition)


def keys_read(read: Read, partition: str, keys: Collection[str]) -> list[str]:
    """Those of the keys that a gold partition reads of one table, in order.

    Args:
        read: The table.
        partition: ISO date or year of the gold table.
        keys: Of published objects.
    """
    table = read.table
    if len(partition) == 4 and table.partition_column == "trade_date":
        days = f"{layout.table_prefix(table.layer, table.name)}trade_date={partition}-"
        return sorted(key for key in keys if key.startswith(days))
    back = range(read.years_before, 0, -1)
    earlier = [f"{int(partition) - years:04d}" for years in back]
    wanted = [*earlier, partition]
    return [key for key in (key_of(table, value) for value in wanted) if key in keys]


def with_partition(table: TableSpec, parts: Mapping[str, pa.Table]) -> pa.Table:
    """Objects of a table as one, with the partition column as the string that Athena sees.

    Args:
        table: The table.
        parts: Contents by key.
    """
    schema = table.schema.append(pa.field(table.partition_column, pa.string()))
    tables = [schema.empty_table()]
    for key, part in parts.items():
        value = pa.repeat(layout.partition_of_key(key), part.num_rows)
        plain = part.select(table.schema.names).replace_schema_metadata(None)
        tables.append(plain.append_column(table.partition_column, value).cast(schema))
    return pa.concat_tables(tables)


def no_rows(table: TableSpec) -> str:
    """SQL of a relation with the table's columns and no row, for a table that has no object yet."""
    columns = [f"{_null(f.type)} AS {f.name}" for f in table.schema]
    columns.append(f"'' AS {table.partition_column}")
    return f"(SELECT {', '.join(columns)} WHERE 1 = 0)"


def _null(kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return "''"
    if pa.types.is_floating(kind):
        return "CAST(NULL AS DOUBLE)"
    if pa.types.is_date(kind):
        return "CAST(NULL AS DATE)"
    if pa.types.is_timestamp(kind):
        return "CAST(NULL AS TIMESTAMP)"
    return "CAST(NULL AS BIGINT)"
