"""Which silver and gold partitions are due, and what each would be made from.

One rule: a partition is due when what it would be made from now differs from what its object's
footer says it was made from. Pure functions over decided batches and published objects.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stock_pipeline.ingest.documents import Decision, TradeDateSpan
from stock_pipeline.lake import layout
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.intervals import Interval, covers, merged
from stock_pipeline.lib.schemas import TABLES, TableSpec
from stock_pipeline.tables import reads
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.reads import keys_read, partition_with

#: Key of the object of a table and partition.
key_of = reads.key_of


@dataclass(frozen=True)
class Touch:
    """What a decided batch means for one silver partition.

    Attributes:
        table: Name of the silver table.
        partition: ISO date or four-digit year.
        rows: Rows of the batch for the partition; 0 where it only supersedes others' rows.
        minutes: Half-open ranges of minutes since the epoch that its intraday rows fall into.
    """

    table: str
    partition: str
    rows: int
    minutes: tuple[Interval, ...] = ()


@dataclass(frozen=True)
class Batch:
    """A decided batch by what it touches."""

    feed: str
    seq: int
    touches: tuple[Touch, ...]


@dataclass(frozen=True)
class Made:
    """A published object."""

    etag: str
    made_from: MadeFrom


@dataclass(frozen=True)
class Want:
    """What a partition would be made from now.

    Attributes:
        batches: Sequence numbers of the batches given that touch the partition, per feed.
        etags: Lake objects that it reads, landed ones too, key to ETag.
        state_before: Digest of the EWMA state taken over from an earlier year.
        definition: Digest of the SQL and settings.
    """

    batches: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    etags: Mapping[str, str] = field(default_factory=dict)
    state_before: str = ""
    definition: str = ""

    @property
    def digest(self) -> str:
        """Equal for equal inputs: a result that was refused is not tried again until it changes."""
        parts = [
            {feed: sorted(seqs) for feed, seqs in self.batches.items()},
            dict(self.etags),
            self.state_before,
            self.definition,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def touches_of(message_format: str, trade_dates: Mapping[str, TradeDateSpan]) -> tuple[Touch, ...]:
    """Silver partitions that the rows of a batch belong to.

    Args:
        message_format: Format of the batch's feed.
        trade_dates: Rows and minutes by ISO date, as its commit says.
    """
    tables = [TABLES[name] for name in FORMATS[message_format].grain.silver]
    by_date = [table.name for table in tables if table.partition_column == "trade_date"]
    by_year = [table.name for table in tables if table.partition_column == "year"]
    days: list[Touch] = []
    years: dict[str, int] = defaultdict(int)
    for day, span in trade_dates.items():
        daily_rows = span.daily_rows if by_date else span.rows
        if daily_rows:
            years[day[:4]] += daily_rows
        if span.rows > daily_rows:
            rows, minutes = span.rows - daily_rows, merged(span.minutes)
            days += [Touch(name, day, rows, minutes) for name in by_date]
    return (*days, *(Touch(name, year, n) for name in by_year for year, n in years.items()))


def batch_of(
    decision: Decision, message_format: str, superseded: Iterable[Iterable[Touch]] = ()
) -> Batch:
    """A decided batch, with the partitions that it touches.

    Args:
        decision: What the batch became.
        message_format: Format of its feed.
        superseded: Touches of each batch that it replaces: their partitions change even where the
            new batch has no row.
    """
    dates = {day.isoformat(): span for day, span in decision.trade_dates.items()}
    own = touches_of(message_format, dates)
    seen = {(t.table, t.partition) for t in own}
    taken_back = {(t.table, t.partition) for touches in superseded for t in touches} - seen
    return Batch(
        decision.plan.feed,
        decision.plan.seq,
        (*own, *(Touch(table, partition, 0) for table, partition in sorted(taken_back))),
    )


@dataclass(frozen=True)
class Landing:
    """A landed object by the silver partitions that its bars belong to.

    Attributes:
        key: Its key.
        etag: Its version.
        touches: (table, partition) of each.
    """

    key: str
    etag: str
    touches: frozenset[tuple[str, str]]


def is_due(want: Want, made: Made | None) -> bool:
    """Whether a partition would be made from something else now.

    One that does not exist is due when there is anything to make it from.
    """
    if made is None:
        return bool(any(want.batches.values()) or want.etags)
    was = made.made_from
    return (
        was.definition != want.definition
        or was.state_before != want.state_before
        or dict(was.etags) != dict(want.etags)
        or any(
            not covers(was.examined.get(feed, ()), seq)
            for feed, seqs in want.batches.items()
            for seq in seqs
        )
    )


def state_year(table: TableSpec, year: str, objects: Mapping[str, Made]) -> str | None:
    """The latest year of a table before `year`, where EWMA goes on from one; else None."""
    if not table.carries_state:
        return None
    prefix = layout.table_prefix(table.layer, table.name)
    years = (layout.partition_of_key(key) for key in objects if key.startswith(prefix))
    return max((y for y in years if y < year), default=None)


def want_gold(table: TableSpec, partition: str, objects: Mapping[str, Made]) -> Want:
    """What a gold partition would be made from now; nothing while its own silver is missing."""
    if key_of(table.reads[0].table, partition) not in objects:
        return Want()
    keys = [key for read in table.reads for key in keys_read(read, partition, objects)]
    before = state_year(table, partition, objects)
    state = objects[key_of(table, before)].made_from.state_digest if before else ""
    return Want(etags={key: objects[key].etag for key in keys}, state_before=state)


def want_all(
    table: TableSpec,
    batches: Iterable[Batch],
    objects: Mapping[str, Made],
    definition: str,
    landings: Iterable[Landing] = (),
) -> Iterator[tuple[str, Want]]:
    """Each partition of a table that has an input or an object, and what it would be made from.

    Partitions come in ascending order and gold ones are looked at when their turn comes, so that a
    caller who makes one and updates `objects` sees the next year's EWMA state change.

    Args:
        table: The table.
        batches: Decided batches; those that every object has examined may be left out.
        objects: Published silver and gold objects by key.
        definition: Digest of the table's SQL and settings.
        landings: Landed objects.
    """
    prefix = layout.table_prefix(table.layer, table.name)
    existing = {layout.partition_of_key(key) for key in objects if key.startswith(prefix)}
    if table.layer == "gold":
        needed = table.reads[0].table
        inputs = layout.table_prefix(needed.layer, needed.name)
        sources = {layout.partition_of_key(key) for key in objects if key.startswith(inputs)}
        for partition in sorted(sources):
            want = want_gold(table, partition, objects)
            yield partition, _defined(want, definition)
        return
    seqs: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for batch in batches:
        for touch in batch.touches:
            if touch.table == table.name:
                seqs[touch.partition][batch.feed].add(batch.seq)
    etags: dict[str, dict[str, str]] = defaultdict(dict)
    for read in table.reads:
        inputs = layout.table_prefix(read.table.layer, read.table.name)
        for key, made in objects.items():
            if key.startswith(inputs):
                etags[partition_with(table, layout.partition_of_key(key))][key] = made.etag
    for landing in landings:
        for name, partition in landing.touches:
            if name == table.name:
                etags[partition][landing.key] = landing.etag
    for partition in sorted({*existing, *seqs, *etags}):
        touching = {feed: tuple(sorted(found)) for feed, found in seqs[partition].items()}
        yield partition, _defined(Want(touching, etags[partition]), definition)


def due(
    batches: Sequence[Batch],
    objects: Mapping[str, Made],
    definitions: Mapping[str, str],
    settled: Mapping[str, str] | None = None,
    landings: Sequence[Landing] = (),
) -> Iterator[tuple[TableSpec, str, Want]]:
    """Partitions to make, inputs before what reads them.

    Args:
        batches: Decided batches; those that every object has examined may be left out.
        objects: Published silver and gold objects by key; may be updated between two results.
        definitions: Digest of SQL and settings by table name.
        settled: By key, `Want.digest` of results that were refused or turned out to be empty.
        landings: Landed objects.
    """
    for table in TABLES.values():
        wanted = want_all(table, batches, objects, definitions[table.name], landings)
        for partition, want in wanted:
            key = key_of(table, partition)
            if not is_due(want, objects.get(key)):
                continue
            if settled and key in settled and settled[key] == want.digest:
                continue
            yield table, partition, want


def _defined(want: Want, definition: str) -> Want:
    return Want(want.batches, want.etags, want.state_before, definition)
