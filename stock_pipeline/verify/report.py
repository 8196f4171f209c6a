"""What `verify` finds: kinds of disagreement, the offset log's arithmetic, and the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What disagrees with what."""

    MISSING_PLAN = "missing plan"
    MISSING_COMMIT = "missing commit"
    MISSING_OBJECT = "missing object"
    CHANGED_OBJECT = "changed object"
    DOUBLED_ROWS = "doubled rows"
    WRONG_COUNT = "wrong count"
    GAP = "gap"
    OVERLAP = "overlap"
    FOREIGN_OBJECT = "foreign object"
    ORPHAN = "orphan"
    OTHER_RECORDS = "other records in Kafka"
    TOPIC_CHANGED = "topic changed"
    STALE_SILVER = "stale silver"
    WRONG_SILVER = "wrong silver"
    STALE_GOLD = "stale gold"
    WRONG_GOLD = "wrong gold"
    STALE_CATALOGUE = "stale catalogue"
    ATHENA_DIFFERS = "Athena differs"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class VerifyFinding:
    """Two things that should agree and do not.

    Attributes:
        kind: Which disagreement.
        sentence: What is wrong, with its numbers.
        place: Key of the object, or the topic.
        action: What to do about it.
        feed: Feed that it belongs to; "" for tables.
        batch: Sequence number of the batch, where it is one's.
    """

    kind: Kind
    sentence: str
    place: str
    action: str
    feed: str = ""
    batch: int | None = None


@dataclass
class Ledger:
    """Where the offsets of one partition of one incarnation went: all batches in scope.

    Attributes:
        feed: Name of the feed.
        incarnation: Life of the topic.
        partition: Partition of the topic.
        start: First offset in scope.
        end: Offset after the last one planned.
        offsets: Length of all ranges.
        accepted: Offsets that became rows.
        rejected: Offsets in quarantine.
        holes: Offsets without a record.
        lost: Offsets that retention took first.
        in_flight: Offsets of batches that were not decided when verify began.
    """

    feed: str
    incarnation: int
    partition: int
    start: int
    end: int
    offsets: int = 0
    accepted: int = 0
    rejected: int = 0
    holes: int = 0
    lost: int = 0
    in_flight: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every offset from start to end is accounted for once."""
        counted = self.accepted + self.rejected + self.holes + self.lost + self.in_flight
        return self.offsets == counted == self.end - self.start


@dataclass(frozen=True)
class Check:
    """One comparison that was made.

    Attributes:
        name: What was compared with what.
        sentence: How much was compared, and what could not be.
        bytes: Bytes read for it from the lake or from Kafka.
        findings: How many disagreements.
        subject: The feed, or `layer/table`, that was compared; "" where it is the whole lake.
    """

    name: str
    sentence: str
    bytes: int
    findings: int
    subject: str = ""


@dataclass
class Report:
    """Everything that one `verify` compared and found."""

    ledgers: list[Ledger] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    findings: list[VerifyFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing disagrees and nothing was left uncompared by a fault."""
        return not self.findings
