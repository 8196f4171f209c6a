"""The silver tables by name: bars, and those of which of each key the latest record holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import pyarrow as pa

from stock_pipeline.lib.formats import formats_of
from stock_pipeline.lib.formats.grains import ACTION, ARTICLE
from stock_pipeline.lib.formats.spec import Grain
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    CORPORATE_ACTIONS_TABLE,
    NEWS_TABLE,
    TableSpec,
)
from stock_pipeline.tables.bars import merge_latest
from stock_pipeline.tables.due import Want
from stock_pipeline.tables.index_store import Input
from stock_pipeline.tables.news import silver_actions, silver_news
from stock_pipeline.tables.silver import Current, Draft, SilverMaker

#: Rows read at once: vendors send a whole document again, so a year has many times its articles.
PIECE_ROWS = 200_000

#: By table what its bronze rows are, and how these become its rows.
_LATEST: dict[str, tuple[Grain, Callable[[pa.Table], pa.Table]]] = {
    CORPORATE_ACTIONS_TABLE.name: (ACTION, silver_actions),
    NEWS_TABLE.name: (ARTICLE, silver_news),
}


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
        if table is BARS_INTRADAY_TABLE:
            return self.bars_intraday(partition, want, current, full)
        if table is BARS_DAILY_TABLE:
            return self.bars_daily(partition, want, current, full)
        return self._latest(table, partition, want, current, full)

    def _latest(
        self, table: TableSpec, year: str, want: Want, current: Current | None, full: bool
    ) -> Draft:
        """Rows of a year, one a key: the latest record wins."""
        first, last = date(int(year), 1, 1), date(int(year), 12, 31)
        grain, made_of = _LATEST[table.name]
        _, rows, fresh = self._split(table, year, want, current, full)
        for message_format in formats_of(grain):
            feeds = {feed for _, names in self._feeds([message_format]) for feed in names}
            for piece in _pieces([i for i in fresh if i.feed in feeds]):
                made = made_of(self.reader.days(piece, grain, first, last))
                rows = merge_latest(rows, made, table.key)
        made_from = self._made_from(want, current, {})
        return Draft(table.schema.empty_table() if rows is None else rows, made_from)


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
