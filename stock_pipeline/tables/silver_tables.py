"""The silver tables by name: bars, and those of which of each key the latest record holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

import pyarrow as pa

from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    NEWS_TABLE,
    TableSpec,
)
from stock_pipeline.lib.sql_files import parameters_of, render, run
from stock_pipeline.tables.bars import merge_latest
from stock_pipeline.tables.due import Want
from stock_pipeline.tables.index_store import Input
from stock_pipeline.tables.news import with_vader
from stock_pipeline.tables.silver import Current, Draft, SilverMaker

#: Rows read at once: vendors send a whole document again, so a year has many times its articles.
PIECE_ROWS = 200_000

Maker = Callable[[SilverMaker, str, Want, Current | None, bool], Draft]

#: Tables that are more than the latest record of each key.
_MAKERS: Mapping[str, Maker] = {
    BARS_INTRADAY_TABLE.name: SilverMaker.bars_intraday,
    BARS_DAILY_TABLE.name: SilverMaker.bars_daily,
}

#: What bronze rows get before a table's SQL sees them.
_PREPARED: dict[str, Callable[[pa.Table], pa.Table]] = {NEWS_TABLE.name: with_vader}


def latest_rows(table: TableSpec, bronze: pa.Table) -> pa.Table:
    """Bronze rows of any days as rows of a silver table, one a key; the latest record wins.

    Args:
        table: The silver table; its SQL file takes the bronze rows as its one parameter.
        bronze: Rows of a grain that the table takes.

    Returns:
        Rows of the table's schema.
    """
    prepare = _PREPARED.get(table.name)
    (parameter,) = parameters_of(table.name)
    query = render(table.name, **{parameter: "bronze"})
    return run(query, {"bronze": prepare(bronze) if prepare else bronze}, table.schema)


class SilverTables(SilverMaker):
    """Makes drafts of any silver partition."""

    def make(
        self, table: TableSpec, partition: str, want: Want, current: Current | None, full: bool
    ) -> Draft:
        """A silver partition: what is new absorbed into the current one, or all of it anew.

        Args:
            table: The silver table.
            partition: Its partition.
            want: Names the objects that it reads, besides the batches of the index.
            current: The published partition.
            full: Make it anew.

        Raises:
            ObjectNotFoundError: An object that it reads is gone.
            ValueError: It must be made anew, and a feed that it was made from is gone.
        """
        maker = _MAKERS.get(table.name)
        if maker:
            return maker(self, partition, want, current, full)
        return self._latest(table, partition, want, current, full)

    def _latest(
        self, table: TableSpec, partition: str, want: Want, current: Current | None, full: bool
    ) -> Draft:
        """Rows of a date or year, one a key: the latest record wins."""
        first, last = _days_of(partition)
        _, rows, fresh = self._split(table, partition, want, current, full)
        for message_format, spec in FORMATS.items():
            if table.name not in spec.grain.silver:
                continue
            feeds = {feed for _, names in self._feeds([message_format]) for feed in names}
            for piece in _pieces([i for i in fresh if i.feed in feeds]):
                made = latest_rows(table, self.reader.days(piece, spec.grain, first, last))
                rows = merge_latest(rows, made, table.key)
        made_from = self._made_from(want, current, {})
        return Draft(table.schema.empty_table() if rows is None else rows, made_from)


def _days_of(partition: str) -> tuple[date, date]:
    """First and last day of an ISO date or a year."""
    if len(partition) > len("2026"):
        return date.fromisoformat(partition), date.fromisoformat(partition)
    return date(int(partition), 1, 1), date(int(partition), 12, 31)


def _pieces(batches: Sequence[Input]) -> Iterator[list[Input]]:
    """Batches in their order, as many at once as have `PIECE_ROWS` rows; at least one."""
    piece: list[Input] = []
    rows = 0
    for batch in batches:
        if piece and rows + batch.rows > PIECE_ROWS:
            yield piece
            piece, rows = [], 0
        piece.append(batch)
        rows += batch.rows
    if piece:
        yield piece
