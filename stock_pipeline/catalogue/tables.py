"""Every table of the lake: where it is, what it holds, by listing the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from stock_pipeline.catalogue.shapes import TableShape, glue_columns, glue_name
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings

LAYERS = ("bronze", "quarantine", "silver", "gold")
#: Listings at a time.
_AT_ONCE = 8


@dataclass(frozen=True)
class LakeTable:
    """A table that the settings name, whether or not it has an object yet.

    Attributes:
        layer: One of `LAYERS`.
        name: Feed, or name of the silver or gold table.
        prefix: Where its objects are, with the closing slash.
        schema: Columns of its files, as declared.
        partition_column: Folder column.
    """

    layer: str
    name: str
    prefix: str
    schema: pa.Schema
    partition_column: str

    @property
    def glue_name(self) -> str:
        """Name in the catalogue."""
        return glue_name(self.layer, self.name)

    @property
    def declared(self) -> TableShape:
        """Its shape by declaration, without partitions."""
        return self.shape(self.schema, frozenset())

    def shape(self, schema: pa.Schema, partitions: frozenset[tuple[str, ...]]) -> TableShape:
        """Its shape in the catalogue's words."""
        keys = ((self.partition_column, "string"),)
        return TableShape(self.glue_name, glue_columns(schema), keys, partitions)


def lake_tables(settings: Settings) -> list[LakeTable]:
    """All tables of the lake; the settings refuse feeds that the catalogue could not tell apart."""
    tables = [
        LakeTable(
            "bronze", feed, layout.bronze_prefix(feed), FORMATS[s.format].schema, "arrival_date"
        )
        for feed, s in settings.feeds.items()
    ]
    tables += [
        LakeTable("quarantine", feed, layout.quarantine_prefix(feed), QUARANTINE, "arrival_date")
        for feed in settings.feeds
    ]
    tables += [
        LakeTable(
            spec.layer,
            spec.name,
            layout.table_prefix(spec.layer, spec.name),
            spec.schema,
            spec.partition_column,
        )
        for spec in TABLES.values()
    ]
    return tables


def partitions_of(lake: Lake, table: LakeTable) -> frozenset[tuple[str, ...]]:
    """Values of the folders below a table's prefix; the objects are not listed."""
    pages = lake.client.get_paginator("list_objects_v2").paginate(
        Bucket=lake.bucket, Prefix=f"{table.prefix}{table.partition_column}=", Delimiter="/"
    )
    return frozenset(
        (folder["Prefix"].rstrip("/").rsplit("=", 1)[1],)
        for page in pages
        for folder in page.get("CommonPrefixes", [])
    )


def declared_shapes(lake: Lake, tables: Sequence[LakeTable]) -> list[TableShape]:
    """Partitions by listing, columns as declared: the cheap look at the lake."""

    def shape(table: LakeTable) -> TableShape:
        return table.shape(table.schema, partitions_of(lake, table))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(shape, tables))


def actual_shapes(lake: Lake, tables: Sequence[LakeTable]) -> list[TableShape]:
    """Partitions by listing, columns as the last object of the last partition has them."""

    def shape(table: LakeTable) -> TableShape:
        partitions = partitions_of(lake, table)
        if not partitions:
            return table.declared
        (value,) = max(partitions)
        folder = f"{table.prefix}{table.partition_column}={value}/"
        keys = [e.key for e in lake.list(folder) if e.key.endswith(".parquet")]
        schema = parquet_schema(lake, keys[-1]) if keys else table.schema
        return table.shape(schema, partitions)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(shape, tables))


def parquet_schema(lake: Lake, key: str) -> pa.Schema:
    """Arrow schema of an object, by its footer.

    Raises:
        ObjectNotFoundError: Nothing is there.
    """
    return lake.parquet_metadata(key).schema.to_arrow_schema()
