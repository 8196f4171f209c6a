"""The Glue catalogue: what it says, and how it learns what the lake holds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from stock_pipeline.aws.session import aws_client
from stock_pipeline.catalogue.crawlers import CatalogueError, Crawlers
from stock_pipeline.catalogue.shapes import TableShape, differences, missing, stale
from stock_pipeline.catalogue.tables import (
    LakeTable,
    actual_shapes,
    declared_shapes,
    lake_tables,
)
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings

logger = logging.getLogger(__name__)

#: The most that BatchCreatePartition takes.
PARTITIONS_PER_CALL = 100
#: How long a finished crawl may take to show in every answer of the catalogue.
SETTLE_SECONDS = 20.0

_STORAGE = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}


@dataclass(frozen=True)
class Synced:
    """What bringing the catalogue up to date did.

    Attributes:
        found: What was missing before.
        crawled: Layers that were crawled; empty with `catalog.method: partitions`.
        dropped: Partitions that were removed since the lake no longer holds them.
        tables: Tables of the lake that have an object.
        partitions: Their partitions.
        left: Differences that remain.
        seconds: Time it took.
    """

    found: tuple[str, ...]
    crawled: tuple[str, ...]
    dropped: int
    tables: int
    partitions: int
    left: tuple[str, ...]
    seconds: float


class Catalogue:
    """The Glue database of one lake.

    Every method raises botocore's ClientError, or its connection errors, when Glue or S3 refuses or
    cannot be reached.
    """

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self.settings = settings
        self.lake = lake
        self.database = settings.catalog.database
        self.tables = lake_tables(settings)

    @cached_property
    def client(self) -> Any:
        """The boto3 Glue client."""
        return aws_client("glue", self.settings.aws)

    @cached_property
    def crawlers(self) -> Crawlers:
        """The crawlers of this lake."""
        return Crawlers(self.settings, self.client)

    def ensure(self) -> None:
        """Create database and crawlers where they are missing; existing ones are updated."""
        try:
            self.client.create_database(DatabaseInput={"Name": self.database})
        except ClientError as error:
            if error.response["Error"]["Code"] != "AlreadyExistsException":
                raise
        if self.settings.catalog.method == "crawler":
            self.crawlers.ensure()

    def shapes(self) -> dict[str, TableShape]:
        """Our tables as the catalogue has them, with their partitions."""
        return self.shapes_of([table.glue_name for table in self.tables])

    def shapes_of(self, names: Sequence[str]) -> dict[str, TableShape]:
        """These tables as the catalogue has them; those that it lacks are left out."""
        pages = self.client.get_paginator("get_tables").paginate(DatabaseName=self.database)
        try:
            found = [t for page in pages for t in page["TableList"] if t["Name"] in names]
        except ClientError as error:
            if error.response["Error"]["Code"] == "EntityNotFoundException":
                return {}
            raise

        def shape(table: dict[str, Any]) -> TableShape:
            return TableShape(
                table["Name"],
                _columns(table["StorageDescriptor"].get("Columns", [])),
                _columns(table.get("PartitionKeys", [])),
                self._partitions(table["Name"]),
            )

        with ThreadPoolExecutor(8) as pool:
            return {s.name: s for s in pool.map(shape, found)}

    def new(self) -> dict[str, list[str]]:
        """What the catalogue lacks, by table, by a cheap look at the lake: listings alone."""
        return missing(declared_shapes(self.lake, self.tables), self.shapes())

    def sync(self) -> Synced:
        """Bring the catalogue up to date; starts nothing when it already is.

        Raises:
            CatalogueError: A crawl failed or took too long.
        """
        started = time.monotonic()
        lake = actual_shapes(self.lake, self.tables)
        catalogue = self.shapes()
        found = missing(lake, catalogue)
        crawled: tuple[str, ...] = ()
        if found:
            self.ensure()
            behind = [table for table in self.tables if table.glue_name in found]
            if self.settings.catalog.method == "crawler":
                crawled = tuple(dict.fromkeys(table.layer for table in behind))
                self.crawlers.crawl(crawled)
            else:
                self.register(behind, lake)
            catalogue = self._settled(lake)
        gone = stale(actual_shapes(self.lake, self.tables), catalogue)
        self._drop(gone)
        left = [s for sentences in missing(lake, catalogue).values() for s in sentences]
        return Synced(
            tuple(s for sentences in found.values() for s in sentences),
            crawled,
            sum(len(values) for values in gone.values()),
            sum(bool(table.partitions) for table in lake),
            sum(len(table.partitions) for table in lake),
            tuple(left),
            time.monotonic() - started,
        )

    def differences(self) -> dict[str, list[str]]:
        """Sentences by table, one for each way in which the catalogue is not the lake now."""
        return differences(actual_shapes(self.lake, self.tables), self.shapes())

    def register(self, tables: Sequence[LakeTable], lake: Iterable[TableShape]) -> None:
        """Write tables and partitions into the catalogue ourselves, without a crawler.

        Raises:
            CatalogueError: Glue refused a partition.
        """
        shapes = {shape.name: shape for shape in lake}
        for table in tables:
            shape = shapes[table.glue_name]
            location = self.lake.uri(table.prefix)
            self.put_table(shape, location)
            known = self._partitions(shape.name)
            self.add_partitions(shape, location, sorted(shape.partitions - known))

    def put_table(self, shape: TableShape, location: str) -> None:
        """Create a table, or give it these columns."""
        table = {
            "Name": shape.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "StorageDescriptor": storage(shape, location),
            "PartitionKeys": _glue(shape.partition_keys),
        }
        try:
            self.client.create_table(DatabaseName=self.database, TableInput=table)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AlreadyExistsException":
                raise
            self.client.update_table(DatabaseName=self.database, TableInput=table)

    def add_partitions(
        self, shape: TableShape, location: str, values: Sequence[tuple[str, ...]]
    ) -> None:
        """Add partitions; those that exist stay as they are.

        Raises:
            CatalogueError: Glue refused a partition.
        """
        names = [name for name, _ in shape.partition_keys]
        for start in range(0, len(values), PARTITIONS_PER_CALL):
            answer = self.client.batch_create_partition(
                DatabaseName=self.database,
                TableName=shape.name,
                PartitionInputList=[
                    {
                        "Values": list(value),
                        "StorageDescriptor": storage(shape, f"{location}{_folder(names, value)}/"),
                    }
                    for value in values[start : start + PARTITIONS_PER_CALL]
                ],
            )
            for refused in answer.get("Errors", []):
                detail = refused["ErrorDetail"]
                if detail["ErrorCode"] != "AlreadyExistsException":
                    raise CatalogueError(
                        f"Glue refused partition {'/'.join(refused['PartitionValues'])} of "
                        f"{self.database}.{shape.name}: {detail['ErrorMessage']}. The lake is "
                        "untouched; materialize catalog/lake again."
                    )

    def _settled(self, lake: list[TableShape]) -> dict[str, TableShape]:
        """The catalogue once it shows what was found in the lake, or after a bounded wait."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            catalogue = self.shapes()
            if not missing(lake, catalogue) or time.monotonic() > deadline:
                return catalogue
            time.sleep(1.0)

    def _partitions(self, table: str) -> frozenset[tuple[str, ...]]:
        pages = self.client.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=table, ExcludeColumnSchema=True
        )
        return frozenset(tuple(p["Values"]) for page in pages for p in page["Partitions"])

    def _drop(self, gone: dict[str, list[tuple[str, ...]]]) -> None:
        # A crawl never removes them (DeleteBehavior LOG), and a lifecycle rule makes them each day.
        for table, partitions in gone.items():
            for values in partitions:
                logger.info("%s.%s: partition %s left the lake", self.database, table, values)
                self.client.delete_partition(
                    DatabaseName=self.database, TableName=table, PartitionValues=list(values)
                )


def storage(shape: TableShape, location: str) -> dict[str, Any]:
    """Glue's StorageDescriptor of Parquet files below `location`."""
    return {"Columns": _glue(shape.columns), "Location": location, **_STORAGE}


def _folder(names: Sequence[str], values: tuple[str, ...]) -> str:
    return "/".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _glue(columns: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in columns]


def _columns(columns: Iterable[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((column["Name"], column.get("Type", "")) for column in columns)
