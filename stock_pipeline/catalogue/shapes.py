"""What the catalogue should say about the lake, and in which ways it says something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

#: Partitions named in a sentence; of more it says how many.
MOST_NAMED = 5

_GLUE_TYPES = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.date32(): "date",
}


@dataclass(frozen=True)
class TableShape:
    """A table, as the lake or as the catalogue has it.

    Attributes:
        name: Name in the catalogue.
        columns: (name, Glue type) of the columns in the files.
        partition_keys: (name, Glue type) of the folder columns.
        partitions: Values of the folder columns, one tuple a partition.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    partition_keys: tuple[tuple[str, str], ...]
    partitions: frozenset[tuple[str, ...]] = field(default=frozenset())


def glue_name(layer: str, table: str) -> str:
    """Name that a crawler with the prefix `<layer>_` gives to the folder `table`."""
    return f"{layer}_{crawled_name(table)}"


def crawled_name(folder: str) -> str:
    """What a crawler makes of a folder's name."""
    return re.sub("[^a-z0-9_]", "_", folder.lower())


def glue_type(kind: pa.DataType) -> str:
    """Glue (Hive) type of a Parquet column with this Arrow type.

    Raises:
        ValueError: No column of ours may have that type.
    """
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    try:
        return _GLUE_TYPES[kind]
    except KeyError:
        raise ValueError(
            f"Arrow type {kind} has no Glue type here: give the column another type in "
            "lib/schemas/ or lib/formats/, or add it to catalogue/shapes.py."
        ) from None


def glue_columns(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """(name, Glue type) of every column; names in lower case as Glue keeps them."""
    return tuple((f.name.lower(), glue_type(f.type)) for f in schema)


def missing(
    lake: Iterable[TableShape], catalogue: Mapping[str, TableShape]
) -> dict[str, list[str]]:
    """What a crawl would mend: sentences by table; empty when the catalogue knows everything.

    Columns and partitions that only the catalogue has are not here: a crawl leaves them, the former
    since older files may have them (`stale`).
    """
    found = {table.name: _missing(table, catalogue.get(table.name)) for table in lake}
    return {name: sentences for name, sentences in found.items() if sentences}


def stale(
    lake: Iterable[TableShape], catalogue: Mapping[str, TableShape]
) -> dict[str, list[tuple[str, ...]]]:
    """Partitions by table that the catalogue has and the lake no longer holds."""
    found = {
        table.name: sorted(catalogue[table.name].partitions - table.partitions)
        for table in lake
        if table.name in catalogue
    }
    return {name: values for name, values in found.items() if values}


def differences(
    lake: Iterable[TableShape], catalogue: Mapping[str, TableShape]
) -> dict[str, list[str]]:
    """Sentences by table, one for each way in which the catalogue is not the lake."""
    tables = list(lake)
    lacking, left = missing(tables, catalogue), stale(tables, catalogue)
    found: dict[str, list[str]] = {}
    for table in tables:
        sentences = [*lacking.get(table.name, ())]
        if table.name in catalogue:
            there = catalogue[table.name]
            sentences += _only_there(table.name, "column", table.columns, there.columns)
        if table.name in left:
            sentences.append(
                f"Table {table.name} has {_named(left[table.name])} in the catalogue; the lake "
                "holds no object there."
            )
        if sentences:
            found[table.name] = sentences
    return found


def _missing(lake: TableShape, catalogue: TableShape | None) -> list[str]:
    if catalogue is None:
        return (
            [f"Table {lake.name} is in the lake and not in the catalogue."]
            if lake.partitions
            else []
        )
    sentences = [
        *_columns(lake.name, "column", lake.columns, catalogue.columns),
        *_columns(lake.name, "partition column", lake.partition_keys, catalogue.partition_keys),
        *_only_there(lake.name, "partition column", lake.partition_keys, catalogue.partition_keys),
    ]
    new = sorted(lake.partitions - catalogue.partitions)
    if new:
        sentences.append(f"Table {lake.name} lacks {_named(new)} in the catalogue.")
    return sentences


def _columns(
    table: str,
    what: str,
    lake: tuple[tuple[str, str], ...],
    catalogue: tuple[tuple[str, str], ...],
) -> list[str]:
    there = dict(catalogue)
    return [
        f"Table {table} lacks the {what} {name} ({kind}) in the catalogue."
        if name not in there
        else f"Table {table} has the {what} {name} as {there[name]} in the catalogue; "
        f"the lake has {kind}."
        for name, kind in lake
        if there.get(name) != kind
    ]


def _only_there(
    table: str,
    what: str,
    lake: tuple[tuple[str, str], ...],
    catalogue: tuple[tuple[str, str], ...],
) -> list[str]:
    here = dict(lake)
    return [
        f"Table {table} has the {what} {name} in the catalogue; the lake has no such column."
        for name, _ in catalogue
        if name not in here
    ]


def _named(partitions: list[tuple[str, ...]]) -> str:
    names = ", ".join("/".join(values) for values in partitions[:MOST_NAMED])
    more = f" and {len(partitions) - MOST_NAMED} more" if len(partitions) > MOST_NAMED else ""
    return f"{'partition' if len(partitions) == 1 else 'partitions'} {names}{more}"
