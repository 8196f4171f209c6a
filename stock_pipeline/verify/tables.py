"""Silver against bronze and gold against silver for `verify`: each partition made again."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from stock_pipeline.catalogue.compare import RELATIVE_TOLERANCE, compare
from stock_pipeline.errors import UserError
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import UNREADABLE, DamagedObjectError, Lake, ObjectNotFoundError
from stock_pipeline.lib.intervals import Interval, covers, merged
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables.bronze_reader import BronzeReader
from stock_pipeline.tables.due import Made, Want, is_due, key_of
from stock_pipeline.tables.gold import GoldMaker
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.index_store import Input
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.removed_feeds import RemovedFeeds
from stock_pipeline.tables.silver import Draft
from stock_pipeline.tables.silver_tables import SilverTables
from stock_pipeline.verify.feed import Progress
from stock_pipeline.verify.objects import utc_now
from stock_pipeline.verify.report import Check, Kind, VerifyFinding

#: How often a partition is looked at again because it was replaced meanwhile.
MOST_TRIES = 3
#: Unexamined batches whose time of commit is looked up, oldest first.
MOST_COMMITS = 20


@dataclass(frozen=True)
class Published:
    """A silver or gold object as it was read."""

    table: pa.Table
    made_from: MadeFrom
    etag: str
    bytes: int


class ExaminedIndex:
    """The table index as one object knows it: only batches that the object has examined."""

    def __init__(self, index: TableIndex, examined: Mapping[str, tuple[Interval, ...]]) -> None:
        self._index = index
        self._examined = examined

    def inputs(self, table: TableSpec, partition: str) -> list[Input]:
        """Batches that touch a partition, of those examined."""
        found = self._index.inputs(table, partition)
        return [i for i in found if covers(self._examined.get(i.feed, ()), i.seq)]

    def examined(self) -> Mapping[str, tuple[Interval, ...]]:
        """Sequence numbers that the object has examined."""
        return self._examined


class TableVerifier:
    """Makes partitions again by the product's own functions and compares the values.

    Args:
        settings: Say how they are made.
        lake: Where they are.
        index: What is decided and published.
        grace_seconds: How long a partition may be behind its inputs: the refresh needs its time.
        progress: Told of every step.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        index: TableIndex,
        grace_seconds: float,
        progress: Progress,
    ) -> None:
        self.settings, self.lake, self.index = settings, lake, index
        self.grace, self.progress = timedelta(seconds=grace_seconds), progress
        self.findings: list[VerifyFinding] = []
        self.notes: list[str] = []
        #: Sequence numbers per feed that silver says it was made from.
        self.examined: dict[str, tuple[Interval, ...]] = {}
        self._gold = GoldMaker(settings, lake)
        #: Shared by all partitions: a batch often touches several days.
        self._bronze = BronzeReader(lake)
        self._counted: set[str] = set()
        self._logs = {feed: OffsetLog(lake, feed) for feed in settings.feeds}
        self._removed = RemovedFeeds(lake, settings.feeds)
        self._bytes = 0

    def verify(self, table: TableSpec, partitions: Iterable[str]) -> Check:
        """Compare partitions of a table with what they should be."""
        found, rows, wanted = len(self.findings), 0, sorted(partitions)
        self._bytes = 0
        name = f"{table.layer}/{table.name}"
        for n, partition in enumerate(wanted):
            rows += self._partition(table, partition)
            self.progress(name, n + 1, len(wanted))
        source = "bronze" if table.layer == "silver" else "silver"
        sentence = (
            f"{counted(len(wanted), 'partition')} made again from {source}, "
            f"{counted(rows, 'row')} compared"
        )
        return Check(name, sentence, self._bytes, len(self.findings) - found, name)

    def _partition(self, table: TableSpec, partition: str) -> int:
        """Compare one partition; the rows compared."""
        name = f"{table.layer}/{table.name} {partition}"
        for _ in range(MOST_TRIES):
            try:
                was, want = self._look(table, partition)
            except DamagedObjectError as error:
                kind = Kind.WRONG_SILVER if table.layer == "silver" else Kind.WRONG_GOLD
                action = "Move the object away: the next refresh makes it anew from its inputs."
                self._find(kind, table, partition, str(error), action)
                return 0
            for feed, seen in was.made_from.examined.items() if was else ():
                self.examined[feed] = merged([*self.examined.get(feed, ()), *seen])
            reasons = list(self._behind(table, partition, want, was))
            old = [sentence for sentence, settled in reasons if settled]
            if was is None and not (reasons and self._made_of_something(table, partition, want)):
                return 0
            if old:
                stale = Kind.STALE_SILVER if table.layer == "silver" else Kind.STALE_GOLD
                action = "The next refresh makes it; to have it now, materialize this partition."
                self._find(stale, table, partition, " ".join(old), action)
            elif reasons:
                self.notes.append(f"{name}: {reasons[0][0]} The next refresh makes it.")
            if was is None or old or self._not_again(table, partition, want, was):
                return 0
            if not self.index.knows(was.made_from):
                self.notes.append(
                    f"{name}: not compared, it was made from a batch whose commit is missing."
                )
                return 0
            try:
                draft = self._again(table, partition, want, was)
            except (ObjectNotFoundError, UserError, *UNREADABLE) as error:
                sentence = f"It was not compared: what it is made from cannot be read ({error})."
                action = "Mend that object first."
                self._find(Kind.NOT_COMPARED, table, partition, sentence, action)
                return 0
            if dict(draft.made_from.etags) == dict(was.made_from.etags):
                return self._compared(table, partition, draft, was)
        self.notes.append(f"{name}: not compared, its inputs were replaced meanwhile.")
        return 0

    def _look(self, table: TableSpec, partition: str) -> tuple[Published | None, Want]:
        """The object, and what it would be made from now."""
        key = key_of(table, partition)
        was, want = self._read(key), self.index.want(table, partition)
        unknown = was is not None and not self.index.knows(was.made_from)
        if unknown or is_due(want, Made(was.etag, was.made_from) if was else None):
            # Replaced since the index was read, or really behind.
            self.index.catch_up()
            was, want = self._read(key), self.index.want(table, partition)
        return was, want

    def _behind(
        self, table: TableSpec, partition: str, want: Want, was: Published | None
    ) -> Iterator[tuple[str, bool]]:
        """Why a partition is due, and whether that is so for longer than the grace."""
        made = was.made_from if was else MadeFrom(definition=want.definition)
        if made.definition != want.definition:
            yield "It was made by other SQL or settings than those of now.", True
        for feed, seqs in sorted(want.batches.items()):
            unseen = [s for s in sorted(seqs) if not covers(made.examined.get(feed, ()), s)]
            if unseen:
                numbers = ", ".join(map(str, unseen[:10])) + (", …" if len(unseen) > 10 else "")
                sentence = f"It was made without batch {numbers} of feed {feed}."
                yield sentence, any(self._settled_commit(feed, s) for s in unseen[:MOST_COMMITS])
        for key in sorted({*want.etags, *made.etags}):
            now, then = want.etags.get(key), made.etags.get(key)
            if now is None:
                yield f"It was made from {key}, which is gone.", True
            elif then is None:
                yield f"It was made without {key}.", self._settled_object(key)
            elif now != then:
                yield f"It was made from another version of {key}.", self._settled_object(key)
        if was and made.state_before != want.state_before:
            year = self.index.state_year(table, partition)
            settled = year is None or self._settled_object(key_of(table, year))
            yield "The EWMA of the year before is another by now.", settled

    def _made_of_something(self, table: TableSpec, partition: str, want: Want) -> bool:
        """Whether a partition that does not exist would have rows: superseded batches give none."""
        if table.layer == "gold":
            return True
        inputs = self.index.inputs(table, partition)
        return bool(want.etags) or any(i.rows and not i.superseded for i in inputs)

    def _not_again(self, table: TableSpec, partition: str, want: Want, was: Published) -> bool:
        """Whether what the object was made from is not there any more to make it from again."""
        made = was.made_from
        if any(want.etags.get(key) != etag for key, etag in made.etags.items()):
            return True
        if table.layer == "gold":
            return is_due(want, Made(was.etag, made)) or not want.etags
        # The rows of a batch that another has superseded since count no more.
        superseding = any(
            i.replaces and not covers(made.examined.get(i.feed, ()), i.seq)
            for i in self.index.inputs(table, partition)
        )
        return superseding or bool(self._removed.of(table, partition, made.examined))

    def _again(self, table: TableSpec, partition: str, want: Want, was: Published) -> Draft:
        self._bytes += was.bytes
        if table.layer == "gold":
            year = self.index.state_year(table, partition)
            return self._gold.make(table, partition, want, year)
        view = ExaminedIndex(self.index, was.made_from.examined)
        read = {i.key: i.bytes for i in view.inputs(table, partition) if i.key not in self._counted}
        self._bytes += sum(read.values())
        self._counted |= read.keys()
        maker = SilverTables(self.settings, self.lake, view, self._bronze)
        want = Want(etags=dict(was.made_from.etags), definition=want.definition)
        return maker.make(table, partition, want, None, full=True)

    def _compared(self, table: TableSpec, partition: str, draft: Draft, was: Published) -> int:
        kind = Kind.WRONG_SILVER if table.layer == "silver" else Kind.WRONG_GOLD
        action = "Materialize this partition: it is made anew from its inputs."
        if was.table.schema != table.schema:
            self._find(kind, table, partition, "It has other columns than its table.", action)
            return 0
        found = compare(draft.table, was.table, table.key)
        if not found.equal:
            example = ", ".join(f"{k} {v}" for k, v in found.examples[0].items())
            sentence = (
                f"{found.differing} values differ from what its inputs give; the first: {example}."
            )
            self._find(kind, table, partition, sentence, action)
        elif was.made_from.rows != was.table.num_rows:
            sentence = f"Its footer says {was.made_from.rows} rows, it has {was.table.num_rows}."
            self._find(Kind.WRONG_COUNT, table, partition, sentence, action)
        elif not _same_state(draft.made_from.state, was.made_from.state):
            sentence = "The EWMA state in its footer is not the one that its inputs give."
            self._find(kind, table, partition, sentence, action)
        return found.rows

    def _read(self, key: str) -> Published | None:
        try:
            content, etag = self.lake.get(key)
        except ObjectNotFoundError:
            return None
        try:
            file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
            footer = (file.metadata.metadata or {}).get(FOOTER_KEY)
            made_from = MadeFrom.of_footer(footer)
            table = file.read().replace_schema_metadata(None)
        except UNREADABLE as error:
            raise DamagedObjectError(self.lake.uri(key), error) from error
        return Published(table, made_from, etag, len(content))

    def _settled_commit(self, feed: str, seq: int) -> bool:
        commit = self._logs[feed].commit_of(seq)
        return commit is not None and utc_now() - commit.committed_at > self.grace

    def _settled_object(self, key: str) -> bool:
        listed = next((e for e in self.lake.list(key) if e.key == key), None)
        return listed is None or utc_now() - listed.modified > self.grace

    def _find(
        self, kind: Kind, table: TableSpec, partition: str, sentence: str, action: str
    ) -> None:
        name = f"{table.layer}/{table.name} {partition}"
        self.findings.append(
            VerifyFinding(kind, f"{name}: {sentence}", key_of(table, partition), action)
        )


def _same_state(
    a: Mapping[str, tuple[float | None, float]], b: Mapping[str, tuple[float | None, float]]
) -> bool:
    def close(x: float | None, y: float | None) -> bool:
        if x is None or y is None:
            return x is y
        return math.isclose(x, y, rel_tol=RELATIVE_TOLERANCE)

    return a.keys() == b.keys() and all(
        close(x, y) for symbol in a for x, y in zip(a[symbol], b[symbol], strict=True)
    )
