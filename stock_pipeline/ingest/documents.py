"""The documents of the offset log: what a plan, a decision and an index entry say.

All are immutable and travel as JSON: a plan and a commit as objects of their own, a decision in the
footer of its bronze object.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """A JSON document of the log."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class OffsetRange(Document):
    """Half-open range of offsets of one partition."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)

    def __len__(self) -> int:
        return self.end - self.start


class Plan(Document):
    """What a batch will read; written once, by the writer that won its sequence number.

    A plan of kind `adopt` reads nothing: it opens an incarnation, whose partitions start at
    `ranges[p].start` (an empty range). A plan of kind `replay` decides records again. Without
    `offsets` it reads batch `replay_of` from Kafka once more; with `offsets` it reads these rejects
    of that batch from its quarantine object.
    """

    kind: Literal["batch", "adopt", "replay"] = "batch"
    feed: str
    topic: str
    seq: int = Field(ge=0)
    incarnation: int = Field(default=1, ge=1)
    topic_id: str | None = None
    planned_at: datetime
    decoder_version: str
    ranges: dict[int, OffsetRange]
    replay_of: tuple[int, ...] = ()
    offsets: dict[int, tuple[OffsetRange, ...]] | None = None

    @property
    def arrival_date(self) -> date:
        """UTC date of planning: the folder of the batch's objects, whoever writes them."""
        return self.planned_at.date()

    @property
    def length(self) -> int:
        """Number of offsets in all ranges."""
        return sum(len(r) for r in self.ranges.values())


class PartitionCount(Document):
    """Where each offset of one partition's range went (I6)."""

    start: int
    end: int
    accepted: int
    rejected: int
    holes: int
    lost: int = 0
    lost_ranges: tuple[OffsetRange, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether every offset of the range is accounted for exactly once."""
        return self.accepted + self.rejected + self.holes + self.lost == self.end - self.start


class Anchor(Document):
    """The last record read from a partition. If it differs later, the topic has changed."""

    offset: int
    timestamp: int
    digest: str


class TradeDateSpan(Document):
    """The rows that a batch has for one trade_date."""

    rows: int
    #: Merged half-open ranges of minutes since 1970-01-01 UTC that the rows' times fall into;
    #: for daily bars the one range of the date's midnight.
    minutes: tuple[tuple[int, int], ...]
    #: How many of `rows` are bars of interval `1d`, which belong to bars_daily; 0 for a daily feed.
    daily_rows: int = 0


class Decision(Document):
    """What a batch became: the footer of its bronze object and, copied, its commit."""

    plan: Plan
    attempt: str
    run_id: str
    decoder_version: str
    object_key: str
    quarantine_key: str | None
    partitions: dict[int, PartitionCount]
    rows: int
    rejects: int
    partial_rejects: int
    #: Bytes of all payloads read; the next plan estimates from it how many records fit `max_bytes`.
    payload_bytes: int
    trade_dates: dict[date, TradeDateSpan]
    first_event_time: datetime | None
    last_event_time: datetime | None
    #: SHA-256 over (partition, offset, timestamp, payload) of all records, in order.
    digest: str
    anchors: dict[int, Anchor]

    @property
    def balanced(self) -> bool:
        """Whether I6 holds for every partition."""
        return all(p.balanced for p in self.partitions.values())

    @property
    def supersedes(self) -> tuple[int, ...]:
        """Batches whose rows no longer count, now that this one is decided.

        A replay for which Kafka no longer has exactly the same records counts all of them as lost
        and supersedes nothing. A replay from quarantine only adds rows.
        """
        lost = any(p.lost for p in self.partitions.values())
        return () if lost or self.plan.offsets is not None else self.plan.replay_of


class Commit(Document):
    """Index entry of a decision; rebuilt from the bronze footer when missing."""

    decision: Decision
    object_bytes: int
    object_etag: str
    committed_at: datetime


class PlannedReread(Document):
    """A batch decides records of an earlier batch again; noted so that none is replayed twice.

    Attributes:
        seq: The batch that decides them again.
        of: The batch that had them before.
        offsets: The rejects that are replayed; None for the whole batch.
        replaced: Whether the whole batch was superseded; None while `seq` is undecided.
    """

    seq: int
    of: int
    offsets: dict[int, tuple[OffsetRange, ...]] | None = None
    replaced: bool | None = None


class Checkpoint(Document):
    """The log folded up to a sequence number below which everything is decided."""

    feed: str
    seq: int
    incarnation: int
    topic_id: str | None
    last_planned_at: datetime
    next_offsets: dict[int, int]
    anchors: dict[int, Anchor]
    bytes_per_record: float | None
    replays: tuple[PlannedReread, ...] = ()
