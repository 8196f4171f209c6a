"""A local index of what the lake holds, so that asking what is due costs little.

It caches commits and the footers of silver and gold objects in one SQLite file. The lake alone is
the truth: the file may be deleted at any time and is then read again, a bounded piece a call.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from stock_pipeline.lib import layout
from stock_pipeline.lib.batches import Commit, MadeFrom
from stock_pipeline.lib.due import (
    BUILD_ORDER,
    Batch,
    Interval,
    Made,
    Touch,
    Want,
    batch_of,
    covers,
    due,
    key_of,
    state_year,
    want_all,
    want_gold,
    with_numbers,
)
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, BARS_INTRADAY_TABLE, TableSpec
from stock_pipeline.resources.lake import Lake, ObjectEntry
from stock_pipeline.resources.offset_log import OffsetLog
from stock_pipeline.resources.table_sql import table_definitions
from stock_pipeline.settings import Settings

#: The most commits and footers that one refresh reads, so that a tick ends in time.
MOST_PER_REFRESH = 2_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    feed TEXT, seq INTEGER, key TEXT, bytes INTEGER, superseded INTEGER DEFAULT 0,
    PRIMARY KEY (feed, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touches (
    name TEXT, partition TEXT, feed TEXT, seq INTEGER, rows INTEGER, minutes TEXT,
    replaces INTEGER, open INTEGER, PRIMARY KEY (name, partition, feed, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS touches_open ON touches (open) WHERE open;
CREATE INDEX IF NOT EXISTS touches_of_batch ON touches (feed, seq);
CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, etag TEXT, made_from TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (key TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS adoptions (feed TEXT, seq INTEGER, PRIMARY KEY (feed, seq));
"""


@dataclass(frozen=True)
class Input:
    """A batch that touches a partition.

    Attributes:
        feed: Its feed.
        seq: Its sequence number.
        key: Key of its bronze object.
        bytes: Size of that object.
        rows: Its rows for the partition.
        minutes: Half-open ranges of minutes since the epoch that these fall into.
        superseded: Whether a later batch replaced it.
        replaces: Whether it replaces others, so that the partition is made anew.
    """

    feed: str
    seq: int
    key: str
    bytes: int
    rows: int
    minutes: tuple[Interval, ...]
    superseded: bool
    replaces: bool


class TableIndex:
    """What is decided and what is published, by the last `refresh`.

    Several processes may use the same file; within one, a single thread.
    """

    def __init__(self, settings: Settings, lake: Lake, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.lake = lake
        self.definitions = table_definitions(settings)
        self.behind = True
        self._objects: dict[str, Made] = {}
        self._settled: dict[str, str] = {}
        self._seen_version: int | None = None
        self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._logs = {feed: OffsetLog(lake, feed) for feed in settings.feeds}
        self._known = {feed: _Numbers(self._known_batches(feed)) for feed in settings.feeds}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def refresh(self, most: int = MOST_PER_REFRESH) -> None:
        """Read what is new: at most `most` commits and as many footers; `behind` says if more is.

        Raises:
            ClientError: The store refuses, or another error that it cannot be reached; what was
                read before stays.
        """
        self.behind = False
        self._load()
        with ThreadPoolExecutor(8) as pool:
            for feed in self.settings.feeds:
                self._refresh_feed(feed, most, pool)
            self._refresh_objects(most, pool)

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
        batches = list(self._open_batches())
        for table, partition, _ in due(batches, self._objects, self.definitions, self._settled):
            yield table, partition

    def want(self, table: TableSpec, partition: str) -> Want:
        """What a partition would be made from now; of batches those not yet examined."""
        if table.layer == "gold":
            want = want_gold(table, partition, self._objects)
        else:
            inputs: dict[str, Made] = {}
            if table is BARS_DAILY_TABLE:
                prefix = f"{layout.table_prefix('silver', BARS_INTRADAY_TABLE.name)}trade_date="
                days = f"{prefix}{partition}-"
                inputs = {k: m for k, m in self._objects.items() if k.startswith(days)}
            batches = self._open_batches(table, partition)
            want = dict(want_all(table, batches, inputs, "")).get(partition, Want())
        return replace(want, definition=self.definitions[table.name])

    def inputs(self, table: TableSpec, partition: str) -> list[Input]:
        """Every decided batch that touches a silver partition, in order of feed and number."""
        rows = self._db.execute(
            "SELECT t.feed, t.seq, b.key, b.bytes, t.rows, t.minutes, b.superseded, t.replaces "
            "FROM touches t JOIN batches b USING (feed, seq) "
            "WHERE t.name = ? AND t.partition = ? ORDER BY t.feed, t.seq",
            (table.name, partition),
        )
        return [
            Input(feed, seq, key, size, n, _intervals(minutes), bool(old), bool(replaces))
            for feed, seq, key, size, n, minutes, old, replaces in rows
            if feed in self.settings.feeds
        ]

    def state_year(self, year: str) -> str | None:
        """The latest year before `year` whose volatility_daily exists."""
        return state_year(year, self._objects)

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
        with self._db:
            self._put_object(key, etag, made_from)
            self._db.execute("DELETE FROM settled WHERE key = ?", (key,))
        self._settled.pop(key, None)

    def settle(self, key: str, want: Want) -> None:
        """Do not ask for this partition again until what it would be made from changes."""
        with self._db:
            self._db.execute("REPLACE INTO settled VALUES (?, ?)", (key, want.digest))
        self._settled[key] = want.digest

    def _open_batches(
        self, table: TableSpec | None = None, partition: str | None = None
    ) -> Iterable[Batch]:
        if table:
            rows = self._db.execute(
                "SELECT feed, seq, name, partition, rows FROM touches "
                "WHERE name = ? AND partition = ? AND open",
                (table.name, partition),
            )
        else:
            rows = self._db.execute(
                "SELECT feed, seq, name, partition, rows FROM touches WHERE open"
            )
        found: dict[tuple[str, int], list[Touch]] = {}
        for feed, seq, name, where, count in rows:
            if feed in self.settings.feeds:
                found.setdefault((feed, seq), []).append(Touch(name, where, count))
        return [Batch(feed, seq, tuple(touches)) for (feed, seq), touches in found.items()]

    def _known_batches(self, feed: str) -> set[int]:
        rows = self._db.execute(
            "SELECT seq FROM batches WHERE feed = :feed UNION "
            "SELECT seq FROM adoptions WHERE feed = :feed",
            {"feed": feed},
        )
        return {seq for (seq,) in rows}

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
        adopted = False
        if listed and low < listed[0]:
            plan = log.plan_of(low)
            # An adoption has a plan and never a commit.
            adopted = plan is not None and plan.kind == "adopt"
        with self._db:
            for commit in commits:
                self._put_commit(feed, commit)
            if adopted:
                self._db.execute("REPLACE INTO adoptions VALUES (?, ?)", (feed, low))
        known.add(commit.decision.plan.seq for commit in commits)
        known.add([low] if adopted else [])

    def _put_commit(self, feed: str, commit: Commit) -> None:
        plan = commit.decision.plan
        replaced = [
            [
                Touch(name, partition, 0)
                for name, partition in self._db.execute(
                    "SELECT name, partition FROM touches WHERE feed = ? AND seq = ?", (feed, seq)
                )
            ]
            for seq in plan.replay_of
        ]
        batch = batch_of(commit.decision, self.settings.feeds[feed].format, replaced)
        self._db.execute(
            "INSERT OR IGNORE INTO batches (feed, seq, key, bytes) VALUES (?, ?, ?, ?)",
            (feed, plan.seq, commit.decision.object_key, commit.object_bytes),
        )
        for seq in plan.replay_of:
            self._db.execute(
                "UPDATE batches SET superseded = 1 WHERE feed = ? AND seq = ?", (feed, seq)
            )
        for touch in batch.touches:
            self._db.execute(
                "INSERT OR IGNORE INTO touches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    touch.table,
                    touch.partition,
                    feed,
                    plan.seq,
                    touch.rows,
                    json.dumps(touch.minutes),
                    bool(plan.replay_of),
                    self._is_open(touch, feed, plan.seq),
                ),
            )

    def _is_open(self, touch: Touch, feed: str, seq: int) -> bool:
        spec = next(t for t in BUILD_ORDER if t.name == touch.table)
        made = self._objects.get(key_of(spec, touch.partition))
        return made is None or not covers(made.made_from.examined.get(feed, ()), seq)

    def _refresh_objects(self, most: int, pool: ThreadPoolExecutor) -> None:
        listed = {
            e.key: e
            for layer in ("silver", "gold")
            for e in self.lake.list(f"{layer}/")
            if e.key.endswith(".parquet")
        }
        known = dict(self._db.execute("SELECT key, etag FROM objects").fetchall())
        changed = [e for key, e in sorted(listed.items()) if known.get(key) != e.etag]
        if len(changed) > most:
            changed, self.behind = changed[:most], True
        footers = list(pool.map(self._footer, changed))
        with self._db:
            for entry, made_from in zip(changed, footers, strict=True):
                if made_from:
                    self._put_object(entry.key, entry.etag, made_from)
            for key in known.keys() - listed.keys():
                self._db.execute("DELETE FROM objects WHERE key = ?", (key,))
                self._objects.pop(key, None)
                self._reopen(key, {})

    def _footer(self, entry: ObjectEntry) -> MadeFrom | None:
        try:
            footer = self.lake.read_footer(entry.key)
        except FileNotFoundError:
            return None
        # Not one of ours: made from nothing known, so it is made anew.
        return MadeFrom.model_validate_json(footer) if footer else MadeFrom()

    def _put_object(self, key: str, etag: str, made_from: MadeFrom) -> None:
        # The state of thousands of symbols is not needed to tell what is due; its digest is.
        slim = made_from.model_copy(update={"state": {}})
        self._db.execute(
            "REPLACE INTO objects VALUES (?, ?, ?)", (key, etag, slim.model_dump_json())
        )
        self._objects[key] = Made(etag, slim)
        if key.startswith("silver/"):
            self._reopen(key, slim.examined)

    def _reopen(self, key: str, examined: Mapping[str, tuple[Interval, ...]]) -> None:
        """Mark which batches an object has not examined."""
        where = (key.split("/")[1], layout.partition_of_key(key))
        self._db.execute("UPDATE touches SET open = 1 WHERE name = ? AND partition = ?", where)
        for feed, intervals in examined.items():
            for start, end in intervals:
                self._db.execute(
                    "UPDATE touches SET open = 0 "
                    "WHERE name = ? AND partition = ? AND feed = ? AND seq >= ? AND seq < ?",
                    (*where, feed, start, end),
                )

    def _load(self) -> None:
        """Take over what another process wrote into the file."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._seen_version:
            return
        self._seen_version = version
        rows = self._db.execute("SELECT key, etag, made_from FROM objects").fetchall()
        for key in self._objects.keys() - {key for key, _, _ in rows}:
            del self._objects[key]
        for key, etag, text in rows:
            known = self._objects.get(key)
            if known is None or known.etag != etag:
                self._objects[key] = Made(etag, MadeFrom.model_validate_json(text))
        self._settled.clear()
        self._settled.update(self._db.execute("SELECT key, digest FROM settled").fetchall())


class _Numbers:
    """A set of sequence numbers that is dense but for its end."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.low = 0
        self._above: set[int] = set()
        self.add(numbers)

    def add(self, numbers: Iterable[int]) -> None:
        self._above.update(n for n in numbers if n >= self.low)
        while self.low in self._above:
            self._above.remove(self.low)
            self.low += 1

    def __contains__(self, number: int) -> bool:
        return number < self.low or number in self._above

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return with_numbers([(0, self.low)], self._above)


def _intervals(text: str) -> tuple[Interval, ...]:
    return tuple((int(start), int(end)) for start, end in json.loads(text))
