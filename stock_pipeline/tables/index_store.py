"""The SQLite file behind the table index: batches, what they touch, objects, what is settled."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stock_pipeline.ingest.documents import Commit
from stock_pipeline.lake import layout
from stock_pipeline.lib.intervals import Interval, covers
from stock_pipeline.lib.schemas import TABLES, TableSpec
from stock_pipeline.tables.due import (
    Batch,
    Landing,
    Made,
    Touch,
    Want,
    batch_of,
)
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.reads import key_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    feed TEXT, seq INTEGER, key TEXT, bytes INTEGER, etag TEXT, superseded INTEGER DEFAULT 0,
    PRIMARY KEY (feed, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touches (
    name TEXT, partition TEXT, feed TEXT, seq INTEGER, rows INTEGER, minutes TEXT,
    replaces INTEGER, open INTEGER, PRIMARY KEY (name, partition, feed, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS touches_open ON touches (open) WHERE open;
CREATE INDEX IF NOT EXISTS touches_of_batch ON touches (feed, seq);
CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, etag TEXT, made_from TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (key TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS landings (key TEXT PRIMARY KEY, etag TEXT, touches TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS landing_seen (mark TEXT, at REAL);
CREATE TABLE IF NOT EXISTS adoptions (feed TEXT, seq INTEGER, PRIMARY KEY (feed, seq));
"""
_TABLES = ("batches", "touches", "objects", "settled", "landings", "landing_seen", "adoptions")


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


class IndexStore:
    """Batches and objects in a file that several processes may share; a cache, never the truth.

    Attributes:
        objects: Published objects by key.
        settled: By key, digest of the inputs whose result was refused or empty.
        landings: Landed objects by key.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.objects: dict[str, Made] = {}
        self.settled: dict[str, str] = {}
        self.landings: dict[str, Landing] = {}
        self._seen_version: int | None = None
        self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything."""
        with self._db:
            for table in _TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        self.objects.clear()
        self.landings.clear()
        self.settled.clear()

    def load(self) -> None:
        """Take over what another process wrote into the file."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._seen_version:
            return
        self._seen_version = version
        rows = self._db.execute("SELECT key, etag, made_from FROM objects").fetchall()
        for key in self.objects.keys() - {key for key, _, _ in rows}:
            del self.objects[key]
        for key, etag, text in rows:
            known = self.objects.get(key)
            if known is None or known.etag != etag:
                self.objects[key] = Made(etag, MadeFrom.model_validate_json(text))
        self.settled.clear()
        self.settled.update(self._db.execute("SELECT key, digest FROM settled").fetchall())
        self.landings.clear()
        for key, etag, text in self._db.execute("SELECT key, etag, touches FROM landings"):
            touches = frozenset((name, partition) for name, partition in json.loads(text))
            self.landings[key] = Landing(key, etag, touches)

    def known(self, feed: str) -> set[int]:
        """Sequence numbers of a feed's batches and adoptions."""
        rows = self._db.execute(
            "SELECT seq FROM batches WHERE feed = :feed UNION "
            "SELECT seq FROM adoptions WHERE feed = :feed",
            {"feed": feed},
        )
        return {seq for (seq,) in rows}

    def last_batch(self, feed: str) -> tuple[int, str] | None:
        """Sequence number of a feed's last known batch and ETag of its bronze object."""
        row = self._db.execute(
            "SELECT seq, etag FROM batches WHERE feed = ? ORDER BY seq DESC LIMIT 1", (feed,)
        ).fetchone()
        return (int(row[0]), str(row[1])) if row else None

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
        ]

    def open_batches(
        self, table: TableSpec | None = None, partition: str | None = None
    ) -> list[Batch]:
        """Batches with the partitions that have not examined them."""
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
            found.setdefault((feed, seq), []).append(Touch(name, where, count))
        return [Batch(feed, seq, tuple(touches)) for (feed, seq), touches in found.items()]

    def put_commits(self, feed: str, message_format: str, commits: Iterable[Commit]) -> None:
        """Add decided batches, in order of their sequence numbers."""
        with self._db:
            for commit in commits:
                self._put_commit(feed, message_format, commit)

    def put_adoption(self, feed: str, seq: int) -> None:
        """Add a plan that opened an incarnation: it has a number and never a batch."""
        with self._db:
            self._db.execute("REPLACE INTO adoptions VALUES (?, ?)", (feed, seq))

    def etags(self) -> dict[str, str]:
        """ETag of every known object by key."""
        return dict(self._db.execute("SELECT key, etag FROM objects").fetchall())

    def put_objects(self, objects: Iterable[tuple[str, str, MadeFrom]]) -> None:
        """Add or replace objects: key, ETag, footer."""
        with self._db:
            for key, etag, made_from in objects:
                self._put_object(key, etag, made_from)

    def remove_objects(self, keys: Iterable[str]) -> None:
        """Forget objects that are gone."""
        with self._db:
            for key in keys:
                self._db.execute("DELETE FROM objects WHERE key = ?", (key,))
                self.objects.pop(key, None)
                self._reopen(key, {})

    def landing_seen(self) -> tuple[str, float]:
        """The mark at which landed objects were last listed, and when (Unix seconds)."""
        row = self._db.execute("SELECT mark, at FROM landing_seen").fetchone()
        return (str(row[0]), float(row[1])) if row else ("", 0.0)

    def put_landings(self, found: Iterable[Landing], gone: Iterable[str]) -> None:
        """Add or replace landed objects, and forget others."""
        with self._db:
            for key in gone:
                self._db.execute("DELETE FROM landings WHERE key = ?", (key,))
                self.landings.pop(key, None)
            for landing in found:
                self._db.execute(
                    "REPLACE INTO landings VALUES (?, ?, ?)",
                    (landing.key, landing.etag, json.dumps(sorted(landing.touches))),
                )
                self.landings[landing.key] = landing

    def put_landing_seen(self, mark: str, at: float) -> None:
        """Remember that every landed object was listed and read at this mark."""
        with self._db:
            self._db.execute("DELETE FROM landing_seen")
            self._db.execute("INSERT INTO landing_seen VALUES (?, ?)", (mark, at))

    def settle(self, key: str, want: Want | None) -> None:
        """Remember that a partition need not be tried while it would be made from this."""
        with self._db:
            if want is None:
                self._db.execute("DELETE FROM settled WHERE key = ?", (key,))
                self.settled.pop(key, None)
            else:
                self._db.execute("REPLACE INTO settled VALUES (?, ?)", (key, want.digest))
                self.settled[key] = want.digest

    def _put_commit(self, feed: str, message_format: str, commit: Commit) -> None:
        plan, superseded = commit.decision.plan, commit.decision.supersedes
        replaced = [
            [
                Touch(name, partition, 0)
                for name, partition in self._db.execute(
                    "SELECT name, partition FROM touches WHERE feed = ? AND seq = ?", (feed, seq)
                )
            ]
            for seq in superseded
        ]
        batch = batch_of(commit.decision, message_format, replaced)
        self._db.execute(
            "INSERT OR IGNORE INTO batches (feed, seq, key, bytes, etag) VALUES (?, ?, ?, ?, ?)",
            (
                feed,
                plan.seq,
                commit.decision.object_key,
                commit.object_bytes,
                commit.object_etag,
            ),
        )
        for seq in superseded:
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
                    bool(superseded),
                    self._is_open(touch, feed, plan.seq),
                ),
            )

    def _is_open(self, touch: Touch, feed: str, seq: int) -> bool:
        made = self.objects.get(key_of(TABLES[touch.table], touch.partition))
        return made is None or not covers(made.made_from.examined.get(feed, ()), seq)

    def _put_object(self, key: str, etag: str, made_from: MadeFrom) -> None:
        # The state of thousands of symbols is not needed to tell what is due; its digest is.
        slim = made_from.model_copy(update={"state": {}})
        self._db.execute(
            "REPLACE INTO objects VALUES (?, ?, ?)", (key, etag, slim.model_dump_json())
        )
        self.objects[key] = Made(etag, slim)
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


def _intervals(text: str) -> tuple[Interval, ...]:
    return tuple((int(start), int(end)) for start, end in json.loads(text))
