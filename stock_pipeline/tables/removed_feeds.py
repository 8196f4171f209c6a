"""Feeds that are not in the settings any more: whether a partition holds rows of theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.intervals import Interval
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.tables.due import touches_of


class RemovedFeeds:
    """What removed feeds left in the lake; their commits are read once, and only when asked for."""

    def __init__(self, lake: Lake, feeds: Collection[str]) -> None:
        """`feeds` are those in the settings."""
        self.lake, self.feeds = lake, feeds
        self._touched = cache(self._read)

    def of(
        self, table: TableSpec, partition: str, examined: Mapping[str, Sequence[Interval]]
    ) -> list[str]:
        """Removed feeds whose rows would be lost, were a partition made anew.

        Args:
            table: The silver table.
            partition: Its partition.
            examined: Sequence numbers that the partition's object has examined, per feed: those of
                feeds too that never had a row in it.
        """
        found = []
        for feed in sorted(examined.keys() - self.feeds):
            seqs = [seq for start, end in examined[feed] for seq in range(start, end)]
            if not seqs:
                continue
            decided, touched = self._touched(feed)
            if (table.name, partition) in touched or self._forgotten(feed, seqs, decided):
                found.append(feed)
        return found

    def _read(self, feed: str) -> tuple[frozenset[int], frozenset[tuple[str, str]]]:
        """Numbers of a feed's batches, and (table, partition) of all their rows."""
        seqs, spans = [], []
        bronze = ""
        for commit in OffsetLog(self.lake, feed).commits():
            seqs.append(commit.decision.plan.seq)
            if commit.decision.rows:
                bronze = commit.decision.object_key
                spans.append(commit.decision.trade_dates)
        formats = self._formats(bronze) if bronze else []
        return frozenset(seqs), frozenset(
            (touch.table, touch.partition)
            for message_format in formats
            for days in spans
            for touch in touches_of(message_format, {d.isoformat(): s for d, s in days.items()})
        )

    def _formats(self, bronze: str) -> list[str]:
        """Formats that a bronze object may be of; every one where it cannot be told."""
        try:
            names = self.lake.parquet_metadata(bronze).schema.to_arrow_schema().names
        except ObjectNotFoundError:
            names = []
        alike = [name for name, spec in FORMATS.items() if spec.schema.names == names]
        return alike or list(FORMATS)

    def _forgotten(self, feed: str, seqs: Sequence[int], decided: frozenset[int]) -> bool:
        """Whether nothing tells any more what a batch held; an adoption has a plan and no batch."""
        log = OffsetLog(self.lake, feed)
        plans = (log.plan_of(seq) for seq in seqs if seq not in decided)
        return any(plan is None or plan.kind != "adopt" for plan in plans)
