"""A local index of what the lake holds, so that asking what is due costs little.

It caches commits and the footers of silver and gold objects in one SQLite file. The lake alone is
the truth: the file may be deleted at any time and is then read again, a bounded piece a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from stock_pipeline.history import bars as history
from stock_pipeline.history.store import LandedDamagedError, read_landed
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import (
    DamagedObjectError,
    Lake,
    ObjectEntry,
    ObjectNotFoundError,
)
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.intervals import Interval, Numbers
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables.definitions import table_definitions
from stock_pipeline.tables.due import (
    Batch,
    Landing,
    Want,
    due,
    state_year,
    want_all,
    want_gold,
)
from stock_pipeline.tables.index_store import IndexStore, Input
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.reads import keys_read

#: The most commits and footers that one refresh reads, so that a tick ends in time.
MOST_PER_REFRESH = 2_000
#: The most landed objects: each is a file of a megabyte, read whole.
MOST_LANDED_PER_REFRESH = 100
#: Landed objects are listed when their mark has changed, and after this in any case: a run that
#: died before it set the mark, and objects that a person put or removed.
LANDING_LIST_SECONDS = 600.0


class TableIndex:
    """What is decided and what is published, by the last `refresh`.

    Several processes may use the same file; within one, a single thread.

    Attributes:
        behind: Whether the last refresh left something unread.
    """

    def __init__(
        self, settings: Settings, lake: Lake, path: Path, clock: Clock = system_clock
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.lake = lake
        self.definitions = table_definitions(settings)
        self.behind = True
        self._store = IndexStore(path)
        self._logs = {feed: OffsetLog(lake, feed) for feed in settings.feeds}
        self._known = {feed: Numbers(self._store.known(feed)) for feed in settings.feeds}
        self._last = {feed: self._store.last_batch(feed) for feed in settings.feeds}

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def refresh(self, most: int = MOST_PER_REFRESH) -> None:
        """Read what is new: at most `most` commits and as many footers; `behind` says if more is.

        Raises:
            ClientError: The store refuses, or another error that it cannot be reached; what was
                read before stays.
        """
        self.behind = False
        self._store.load()
        self._forget_another_lake()
        with ThreadPoolExecutor(8) as pool:
            for feed in self.settings.feeds:
                self._refresh_feed(feed, most, pool)
            self._refresh_objects(most, pool)
            self._refresh_landings(min(most, MOST_LANDED_PER_REFRESH), pool)

    def catch_up(self) -> None:
        """Refresh until nothing is behind."""
        self.refresh()
        while self.behind:
            self.refresh()

    def due(self) -> list[tuple[TableSpec, str]]:
        """Partitions to make, inputs before what reads them; of what the last refresh read."""
        return list(self.due_one_by_one())

    def due_one_by_one(self) -> Iterator[tuple[TableSpec, str]]:
        """Like `due`, each looked at when its turn comes: after `record` told of its inputs."""
        objects, settled = self._store.objects, self._store.settled
        landings = list(self._store.landings.values())
        found = due(self._open(), objects, self.definitions, settled, landings)
        for table, partition, _ in found:
            yield table, partition

    def want(self, table: TableSpec, partition: str) -> Want:
        """What a partition would be made from now; of batches those not yet examined."""
        objects = self._store.objects
        if table.layer == "gold":
            want = want_gold(table, partition, objects)
        else:
            keys = (key for read in table.reads for key in keys_read(read, partition, objects))
            inputs = {key: objects[key] for key in keys}
            where = (table.name, partition)
            landings = [x for x in self._store.landings.values() if where in x.touches]
            found = dict(want_all(table, self._open(table, partition), inputs, "", landings))
            want = found.get(partition, Want())
        return replace(want, definition=self.definitions[table.name])

    def inputs(self, table: TableSpec, partition: str) -> list[Input]:
        """Every decided batch that touches a silver partition, in order of feed and number."""
        found = self._store.inputs(table, partition)
        return [i for i in found if i.feed in self.settings.feeds]

    def partitions(self, table: TableSpec) -> list[str]:
        """Published partitions of a table, in ascending order."""
        prefix = layout.table_prefix(table.layer, table.name)
        return sorted(
            layout.partition_of_key(k) for k in self._store.objects if k.startswith(prefix)
        )

    def newest(self) -> dict[str, str]:
        """The newest published partition by partition column, of all tables."""
        found: dict[str, str] = {}
        for key in self._store.objects:
            column, _, partition = key.split("/")[2].partition("=")
            found[column] = max(partition, found.get(column, ""))
        return found

    def lacks_inputs(self, table: TableSpec, partition: str) -> bool:
        """Whether there is nothing that a partition could be made from."""
        want = self.want(table, partition)
        return not any(want.batches.values()) and not want.etags

    def feeds_without_batches(self) -> list[str]:
        """Feeds of which no batch is decided."""
        return [feed for feed, last in self._last.items() if last is None]

    def state_year(self, table: TableSpec, year: str) -> str | None:
        """The latest year of a table before `year`, where EWMA goes on from one; else None."""
        return state_year(table, year, self._store.objects)

    def examined(self) -> dict[str, tuple[Interval, ...]]:
        """Sequence numbers that are known, per feed: what an object made now has examined."""
        return {feed: numbers.intervals for feed, numbers in self._known.items()}

    def knows(self, made_from: MadeFrom) -> bool:
        """Whether every batch that an object examined is known here.

        If not, making it again, in whole or in part, would lose rows.
        """
        return all(
            number in self._known[feed]
            for feed, intervals in made_from.examined.items()
            if feed in self._known
            for start, end in intervals
            for number in range(max(start, self._known[feed].low), end)
        )

    def record(self, key: str, etag: str, made_from: MadeFrom) -> None:
        """Remember an object that this process published, without a look at the lake."""
        self._store.put_objects([(key, etag, made_from)])
        self._store.settle(key, None)

    def settle(self, key: str, want: Want) -> None:
        """Do not ask for this partition again until what it would be made from changes."""
        self._store.settle(key, want)

    def _open(self, table: TableSpec | None = None, partition: str | None = None) -> list[Batch]:
        found = self._store.open_batches(table, partition)
        return [batch for batch in found if batch.feed in self.settings.feeds]

    def _forget_another_lake(self) -> None:
        """Start anew when the last batch known is not in the lake: another bucket, or emptied."""
        for feed, last in self._last.items():
            if last is None:
                continue
            commit = self._logs[feed].commit_of(last[0])
            if commit is None or commit.object_etag != last[1]:
                self._store.clear()
                self._known = {name: Numbers() for name in self.settings.feeds}
                self._last = dict.fromkeys(self.settings.feeds)
                return

    def _refresh_feed(self, feed: str, most: int, pool: ThreadPoolExecutor) -> None:
        known, log = self._known[feed], self._logs[feed]
        low = known.low
        # Commits may appear out of order: list from the first that is missing.
        after = layout.commit_key(feed, low - 1) if low else ""
        listed = [
            layout.seq_of_key(e.key) for e in self.lake.list(layout.commit_prefix(feed), after)
        ]
        new = [seq for seq in listed if seq not in known]
        if len(new) > most:
            new, self.behind = new[:most], True
        commits = [c for c in pool.map(log.commit_of, new) if c is not None]
        self._store.put_commits(feed, self.settings.feeds[feed].format, commits)
        known.add(commit.decision.plan.seq for commit in commits)
        self._last[feed] = self._store.last_batch(feed)
        if listed and low < listed[0]:
            plan = log.plan_of(low)
            # An adoption has a plan and never a commit.
            if plan and plan.kind == "adopt":
                self._store.put_adoption(feed, low)
                known.add([low])

    def _refresh_objects(self, most: int, pool: ThreadPoolExecutor) -> None:
        listed = {
            e.key: e
            for layer in ("silver", "gold")
            for e in self.lake.list(f"{layer}/")
            if e.key.endswith(".parquet")
        }
        known = self._store.etags()
        changed = [e for key, e in sorted(listed.items()) if known.get(key) != e.etag]
        if len(changed) > most:
            changed, self.behind = changed[:most], True
        footers = pool.map(self._footer, changed)
        self._store.put_objects(
            (entry.key, entry.etag, made_from)
            for entry, made_from in zip(changed, list(footers), strict=True)
            if made_from
        )
        self._store.remove_objects(known.keys() - listed.keys())

    def _refresh_landings(self, most: int, pool: ThreadPoolExecutor) -> None:
        mark = self.lake.head(layout.LANDING_MARK)
        now, (seen, at) = self.clock().timestamp(), self._store.landing_seen()
        etag = mark.etag if mark else ""
        if etag == seen and at <= now < at + LANDING_LIST_SECONDS:
            return
        listed = {
            e.key: e.etag
            for e in self.lake.list(layout.LANDING_PREFIX)
            if layout.landed_of_key(e.key)
        }
        known = self._store.landings
        changed = [k for k, e in listed.items() if k not in known or known[k].etag != e]
        left = len(changed) > most
        read = [*pool.map(self._landing, changed[:most], [listed[k] for k in changed[:most]])]
        self._store.put_landings((x for x in read if x), [*(known.keys() - listed.keys())])
        if left:
            self.behind = True
        else:
            self._store.put_landing_seen(etag, now)

    def _landing(self, key: str, etag: str) -> Landing | None:
        """What a landed object touches; one that cannot be read, all that its key names."""
        landed = layout.landed_of_key(key)
        try:
            rows, etag, _ = read_landed(self.lake, key)
        except ObjectNotFoundError:
            return None
        except LandedDamagedError:
            # Making these partitions fails and says so; without it they would lose its bars.
            where = history.partitions_of_key(landed) if landed else ()
            return Landing(key, etag, frozenset(where))
        return Landing(key, etag, frozenset(history.partitions_of(rows)))

    def _footer(self, entry: ObjectEntry) -> MadeFrom | None:
        try:
            footer = self.lake.read_footer(entry.key)
        except ObjectNotFoundError:
            return None
        except DamagedObjectError:
            # Making it fails and says so; the other partitions must not wait for that.
            return MadeFrom()
        # Not one of ours: made from nothing known, so it is made anew.
        return MadeFrom.of_footer(footer)
