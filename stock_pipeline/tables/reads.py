"""What the partitions of a table read of others: SQL, the due rule and parity take it from here."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from stock_pipeline.lake import layout
from stock_pipeline.lib.schemas import Read, TableSpec


def key_of(table: TableSpec, partition: str) -> str:
    """Key of a partition's object."""
    return layout.table_object_key(table.layer, table.name, table.partition_column, partition)


def partition_with(table: TableSpec, partition: str) -> str:
    """The partition of a table that covers another table's partition: a date's year, or the same.

    Args:
        table: The table.
        partition: ISO date or year; a year where the table is partitioned by year.
    """
    return partition[:4] if table.partition_column == "year" else partition


def keys_read(read: Read, partition: str, keys: Collection[str]) -> list[str]:
    """Those of the keys that a partition reads of one table, in order.

    Args:
        read: The table.
        partition: ISO date or year of the table that reads it.
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
