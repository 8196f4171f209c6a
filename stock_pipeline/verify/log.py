"""The offset log of a feed as it was at one moment, read piece by piece for `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from pydantic import ValidationError

from stock_pipeline.ingest.documents import Commit, Document, Plan
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake

#: Plans and commits in memory at a time.
PIECE = 256
#: Plans before the first in scope that are read to learn where its ranges should begin.
MOST_BEFORE = 1_000

D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class Entry:
    """One sequence number of the log.

    Attributes:
        seq: Sequence number.
        plan: Its plan; None where it is missing or unreadable.
        commit: Its commit; None where it was not there yet, or is unreadable.
        unreadable: Keys that hold no document of the log.
    """

    seq: int
    plan: Plan | None
    commit: Commit | None
    unreadable: tuple[str, ...] = ()


class LogSnapshot:
    """Which plans and commits a feed had when this was made; later ones are not looked at."""

    def __init__(self, lake: Lake, feed: str, first: date | None, last: date | None) -> None:
        self.feed = feed
        self.lake = lake
        self.log = OffsetLog(lake, feed)
        #: Keys in the log that are neither plan nor commit.
        self.strange: list[str] = []
        # Commits first: a plan may appear between the two listings, a commit without its plan not.
        self.committed = self._seqs(layout.commit_prefix(feed))
        self.planned = self._seqs(layout.plan_prefix(feed))
        top = max([-1, *self.planned, *self.committed])
        numbers = sorted(self.planned)
        low = self._bisect(numbers, lambda day: first is not None and day < first)
        high = self._bisect(numbers, lambda day: last is None or day <= last)
        #: Sequence numbers in scope; those of missing plans too.
        self.scope = range(
            numbers[low] if low < len(numbers) and first else (top + 1 if first else 0),
            numbers[high] if high < len(numbers) else top + 1,
        )

    def entries(self) -> Iterator[list[Entry]]:
        """Plans and commits in scope, a piece at a time, in order."""
        with ThreadPoolExecutor(8) as pool:
            for start in range(self.scope.start, self.scope.stop, PIECE):
                yield list(pool.map(self._entry, range(start, min(start + PIECE, self.scope.stop))))

    def starts(self) -> dict[int, int]:
        """Where the plans before the scope ended, per partition, by the nearest of them."""
        found: dict[int, int] = {}
        incarnation: int | None = None
        for seq in range(self.scope.start - 1, max(-1, self.scope.start - 1 - MOST_BEFORE), -1):
            plan = self._entry(seq).plan
            if plan is None or plan.kind == "replay":
                continue
            incarnation = incarnation or plan.incarnation
            if plan.incarnation != incarnation:
                break
            for partition, offsets in plan.ranges.items():
                found.setdefault(partition, offsets.end)
            if plan.kind == "adopt":
                break
        return found

    def latest(self) -> Plan | None:
        """The last plan of the topic's incarnation of now; None in an empty log."""
        for seq in sorted(self.planned, reverse=True)[:MOST_BEFORE]:
            plan = self._entry(seq).plan
            if plan and plan.kind != "replay":
                return plan
        return None

    def _entry(self, seq: int) -> Entry:
        unreadable: list[str] = []
        plan = self._read(Plan, layout.plan_key(self.feed, seq), seq in self.planned, unreadable)
        committed = seq in self.committed
        commit = self._read(Commit, layout.commit_key(self.feed, seq), committed, unreadable)
        return Entry(seq, plan, commit, tuple(unreadable))

    def _read(self, kind: type[D], key: str, listed: bool, unreadable: list[str]) -> D | None:
        if not listed:
            return None
        text, _ = self.lake.get(key)
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            unreadable.append(key)
            return None

    def _seqs(self, prefix: str) -> set[int]:
        seqs = set()
        for entry in self.lake.list(prefix):
            name = entry.key.removeprefix(prefix).removesuffix(".json")
            if name.isdigit() and entry.key == f"{prefix}{int(name):0{layout.SEQ_DIGITS}d}.json":
                seqs.add(int(name))
            else:
                self.strange.append(entry.key)
        return seqs

    def _bisect(self, numbers: Sequence[int], before: Callable[[date], bool]) -> int:
        """Index of the first plan whose arrival date is not `before`; dates grow with numbers."""
        low, high = 0, len(numbers)
        while low < high:
            middle = (low + high) // 2
            plan = self._entry(numbers[middle]).plan
            if plan is not None and before(plan.arrival_date):
                low = middle + 1
            else:
                high = middle
        return low
