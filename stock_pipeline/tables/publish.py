"""Making a silver or gold partition: read, make, check, replace by compare-and-swap."""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from stock_pipeline.errors import TemporaryError, UserError
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import Lake, ObjectNotFoundError, PreconditionFailedError
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables import checks
from stock_pipeline.tables.checks import Violation
from stock_pipeline.tables.due import Want, key_of
from stock_pipeline.tables.gold import GoldMaker
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.silver import Current, Draft
from stock_pipeline.tables.silver_tables import SilverTables

logger = logging.getLogger(__name__)

#: How often a partition is made again because another writer was first.
MOST_TRIES = 10
ROW_GROUP_ROWS = 128 * 1024


class ContendedError(TemporaryError):
    """Other writers were first again and again."""


@dataclass(frozen=True)
class Built:
    """A partition after `TableBuilder.build`.

    Attributes:
        table: Its table.
        partition: ISO date or year.
        key: Key of its object.
        etag: Version published; None where nothing was: refused, or nothing to make it from.
        content: The rows made, sorted by key, also when refused.
        bytes: Size of the object.
        violations: Why it was refused; empty when it was not.
        rejected_key: Where the refused result is.
        made_from: What it was made from.
        seconds: Time it took.
    """

    table: TableSpec
    partition: str
    key: str
    etag: str | None
    content: pa.Table
    bytes: int
    violations: tuple[Violation, ...]
    rejected_key: str | None
    made_from: MadeFrom
    seconds: float

    @property
    def rows(self) -> int:
        """Number of rows made."""
        return int(self.content.num_rows)


class TableBuilder:
    """Makes partitions in one run; keeps bronze objects that several partitions read."""

    def __init__(
        self, settings: Settings, lake: Lake, run_id: str, index: TableIndex | None = None
    ) -> None:
        self.settings = settings
        self.lake = lake
        self.run_id = run_id
        self.index = index or TableIndex(settings, lake, settings.home / "table_index.sqlite")
        if index is None:
            self.index.catch_up()
        self._silver = SilverTables(settings, lake, self.index)
        self._gold = GoldMaker(settings, lake)

    def build(self, table: TableSpec, partition: str, *, full: bool = False) -> Built:
        """Make and publish a partition from what is decided and published by now.

        Args:
            table: Its table.
            partition: ISO date, or year with four digits.
            full: Make it anew from bronze, also where absorbing new batches would do.

        Raises:
            ContendedError: Other writers replaced the object at every try; theirs stands.
            ObjectNotFoundError: An input is gone.
        """
        started = time.monotonic()
        key = key_of(table, partition)
        for attempt in range(MOST_TRIES):
            if attempt:
                self.index.catch_up()
            current = self._current(key)
            want = self.index.want(table, partition)
            draft = self._draft(table, partition, want, current, full)
            content = _sorted(draft.table, table)
            made_from = draft.made_from.model_copy(
                update={"run_id": self.run_id, "rows": content.num_rows}
            )
            body = parquet(content, made_from)
            found = (*draft.violations, *checks.violations(table, content))
            etag, rejected_key = None, None
            if found:
                rejected_key = layout.rejected_key(table.layer, table.name, partition, self.run_id)
                self.lake.put(rejected_key, body)
                self.index.settle(key, want)
                logger.warning("%s was not published: %s", key, found[0].sentence)
            elif not (content.num_rows or made_from.etags or current):
                # Batches without a row for it, and nothing there: no object either. Empty gold is
                # published, it may carry EWMA state to the next year.
                self.index.settle(key, want)
            else:
                try:
                    etag = self.lake.replace(key, body, current.etag if current else None)
                except PreconditionFailedError:
                    logger.info("%s was replaced by another writer; made again", key)
                    continue
                self.index.record(key, etag, made_from)
            return Built(
                table,
                partition,
                key,
                etag,
                content,
                len(body),
                found,
                rejected_key,
                made_from,
                time.monotonic() - started,
            )
        raise ContendedError(
            f"{self.lake.uri(key)} was replaced by other writers {MOST_TRIES} times while it was "
            "made; theirs stands, nothing is lost. The next refresh makes it if it is still due."
        )

    def _draft(
        self, table: TableSpec, partition: str, want: Want, current: Current | None, full: bool
    ) -> Draft:
        if table.layer == "gold":
            year = self.index.state_year(table, partition)
            return self._gold.make(table, partition, want, year)
        if current and not self.index.knows(current.made_from):
            self.index.catch_up()
            want = self.index.want(table, partition)
            if not self.index.knows(current.made_from):
                raise UserError(
                    f"{table.name} {partition} was made from batches whose commits are missing "
                    "from the offset log; the object stays as it is. Restore _offset_log/."
                )
        return self._silver.make(table, partition, want, current, full)

    def _current(self, key: str) -> Current | None:
        try:
            table, etag = self.lake.read_table(key)
        except ObjectNotFoundError:
            return None
        footer = (table.schema.metadata or {}).get(FOOTER_KEY) or self.lake.read_footer(key)
        made_from = MadeFrom.of_footer(footer)
        return Current(table.replace_schema_metadata(None), etag, made_from)


def parquet(table: pa.Table, made_from: MadeFrom) -> bytes:
    """A table as Parquet: zstd, statistics, its origin in the footer."""
    body = io.BytesIO()
    with pq.ParquetWriter(
        body, table.schema, compression="zstd", write_statistics=True, write_page_checksum=True
    ) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        # Not as Arrow schema metadata, which Parquet would hold twice.
        writer.add_key_value_metadata({FOOTER_KEY: made_from.model_dump_json()})
    return body.getvalue()


def _sorted(table: pa.Table, spec: TableSpec) -> pa.Table:
    conformed = table.select(spec.schema.names).replace_schema_metadata(None).cast(spec.schema)
    return conformed.sort_by([(column, "ascending") for column in spec.key])
