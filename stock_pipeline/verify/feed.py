"""One feed for `verify`: its log, the objects that the log names, and what Kafka still holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import date

from stock_pipeline.ingest.documents import Commit, Plan
from stock_pipeline.ingest.log_state import DamagedLogError, LogState
from stock_pipeline.kafka.control import RangeReader
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake, ObjectEntry
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.settings import Settings
from stock_pipeline.tables.due import touches_of
from stock_pipeline.verify.batch import BatchResult, BatchVerifier
from stock_pipeline.verify.kafka import BrokerVerifier
from stock_pipeline.verify.log import Entry, LogSnapshot
from stock_pipeline.verify.log_checker import LogChecker
from stock_pipeline.verify.report import Check, Kind, Ledger, VerifyFinding
from stock_pipeline.verify.strangers import strangers_of_feed, strangers_of_log

#: Told of every step: what, how much is done, how much there is.
Progress = Callable[[str, int, int], None]
#: Objects that are read at a time.
AT_ONCE = 4
#: Listings of folders that are kept.
MOST_FOLDERS = 8


@dataclass
class FeedResult:
    """What verifying a feed gave.

    Attributes:
        ledgers: Per incarnation and partition.
        checks: What was compared.
        findings: What disagrees.
        notes: What was not compared, and why that is no fault.
        touched: Silver partitions that its batches in scope touch: table and partition.
        undecided: Sequence numbers of batches in flight.
    """

    ledgers: list[Ledger] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    findings: list[VerifyFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    touched: set[tuple[str, str]] = field(default_factory=set)
    undecided: list[int] = field(default_factory=list)


class FeedVerifier:
    """Verifies one feed once.

    Args:
        settings: Name the feed.
        lake: Where log and objects are.
        feed: Name of the feed.
        first: First arrival date in scope, None for all.
        last: Last one, included.
        settle_seconds: How long a commit may take to follow its object.
        progress: Told of every step.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        feed: str,
        first: date | None,
        last: date | None,
        settle_seconds: float,
        progress: Progress,
    ) -> None:
        self.settings, self.lake, self.feed = settings, lake, feed
        self.settle_seconds, self.progress = settle_seconds, progress
        self.log = LogSnapshot(lake, feed, first, last)
        self.result = FeedResult()
        # Before the broker is asked: what is planned later may lie beyond its answer.
        self._state = _folded(self.log)
        self._batches = BatchVerifier(lake, feed, settings.feeds[feed].format)
        self._whole = first is None and last is None
        self._checker = LogChecker(feed, None if self._whole else self.log.starts())
        self._folders: dict[str, dict[str, ObjectEntry]] = {}
        self._named: set[str] = set()
        self._dates: set[date] = set()
        self._undecided: list[Plan] = []
        self._plans = self._objects = self._bytes = 0

    def run(self, offsets: TopicOffsets | None, *, with_broker: bool) -> FeedResult:
        """Compare everything.

        Args:
            offsets: What the broker says of the topic; None where it does not exist.
            with_broker: Whether to read decided batches again.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        with ExitStack() as stack:
            broker = self._broker(offsets, stack) if with_broker else None
            pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
            start, stop = self.log.scope.start, self.log.scope.stop
            for entries in self.log.entries():
                commits = self._absorb(entries)
                listed = self._listed(commits)
                for done in pool.map(lambda c, at=listed: self._batches.verify(c, at), commits):
                    self._record(done, broker)
                    seq = done.commit.decision.plan.seq
                    self.progress(f"{self.feed}: batches", seq - start, stop - start)
            self.progress(f"{self.feed}: batches", stop - start, stop - start)
        log_findings = len(self.result.findings)
        self._missing_commits()
        self._strangers()
        self._sum_up(len(self.result.findings) - log_findings)
        if broker:
            if self._whole and self._state:
                broker.findings += broker.beginnings(self._state.incarnation, self._checker)
            self.result.findings += broker.findings
            self.result.notes += broker.notes
            self.result.checks.append(broker.check())
        return self.result

    def _broker(self, offsets: TopicOffsets | None, stack: ExitStack) -> BrokerVerifier:
        topic = self.settings.feeds[self.feed].topic
        reader = stack.enter_context(closing(RangeReader(self.settings.kafka, topic)))
        return BrokerVerifier(self.feed, topic, offsets, reader, self.log.latest(), self._state)

    def _absorb(self, entries: Sequence[Entry]) -> list[Commit]:
        """Check a piece of the log; its commits."""
        commits: list[Commit] = []
        backup = "Restore it from the bucket's versions or a backup"
        for entry in entries:
            self._plans += 1
            seq, commit = entry.seq, entry.commit
            for key in entry.unreadable:
                sentence = f"{key} of batch {seq} is no document of the offset log."
                self._find(Kind.CHANGED_OBJECT, sentence, key, f"{backup}.", seq)
            plan = entry.plan or (commit.decision.plan if commit else None)
            if entry.plan is None and not entry.unreadable:
                self._find(
                    Kind.MISSING_PLAN,
                    f"The log of feed {self.feed} has no plan {seq}; nothing new is planned until "
                    "it is back.",
                    layout.plan_key(self.feed, seq),
                    f"{backup}; its commit holds a copy." if commit else f"{backup}.",
                    seq,
                )
            if plan is None:
                continue
            self.result.findings += self._checker.absorb(plan, commit)
            if plan.kind == "adopt":
                continue
            self._dates.add(plan.arrival_date)
            if commit:
                commits.append(commit)
                continue
            self._named.add(layout.bronze_key(self.feed, seq, plan.arrival_date))
            self._named.add(layout.quarantine_key(self.feed, seq, plan.arrival_date))
            if layout.commit_key(self.feed, seq) not in entry.unreadable:
                self._undecided.append(plan)
        return commits

    def _listed(self, commits: Sequence[Commit]) -> dict[str, ObjectEntry]:
        """Listings of the folders where the objects of these batches should be."""
        keys = [c.decision.object_key for c in commits]
        keys += [c.decision.quarantine_key for c in commits if c.decision.quarantine_key]
        folders = dict.fromkeys(f"{key.rsplit('/', 1)[0]}/" for key in keys)
        for folder in folders:
            known = self._folders.pop(folder, {})
            # A batch of today may be younger than the last listing of today.
            if not all(key in known for key in keys if key.startswith(folder)):
                known = {e.key: e for e in self.lake.list(folder)}
            self._folders[folder] = known
        for folder in list(self._folders)[: -max(MOST_FOLDERS, len(folders))]:
            del self._folders[folder]
        return {key: e for folder in folders for key, e in self._folders[folder].items()}

    def _record(self, done: BatchResult, broker: BrokerVerifier | None) -> None:
        decision = done.commit.decision
        self._objects += 1
        self._bytes += done.bytes
        successor = self._state.superseded.get(decision.plan.seq) if self._state else None
        if successor is None:
            self.result.findings += done.findings
        else:
            # Its rows count no more: what is wrong with them has been mended by that.
            self.result.notes += [
                f"{self.feed}: {f.sentence} Batch {successor} took its place."
                for f in done.findings
            ]
        self._named |= {decision.object_key, decision.quarantine_key or decision.object_key}
        days = {day.isoformat(): span for day, span in decision.trade_dates.items()}
        touches = touches_of(self.settings.feeds[self.feed].format, days)
        self.result.touched |= {(touch.table, touch.partition) for touch in touches}
        if broker:
            broker.compare(decision, done.bronze, done.rejects, not done.findings)

    def _missing_commits(self) -> None:
        """Decided batches whose commit does not come within the time that a run needs for it."""
        deadline = time.monotonic() + self.settle_seconds
        for plan in self._undecided:
            key = layout.bronze_key(self.feed, plan.seq, plan.arrival_date)
            decided = self.lake.head(key) is not None
            committed = self.log.log.commit_of(plan.seq) is not None
            while decided and not committed and time.monotonic() < deadline:
                time.sleep(0.5)
                committed = self.log.log.commit_of(plan.seq) is not None
            if not decided or committed:
                self.result.undecided.append(plan.seq)
                continue
            self._find(
                Kind.MISSING_COMMIT,
                f"Batch {plan.seq} is decided, its object {key} is there, but its commit is "
                "missing: silver does not know of its rows.",
                layout.commit_key(self.feed, plan.seq),
                "Nothing is lost: the next attempt at the batch writes the commit from the "
                "object's footer. To have it now, materialize bronze/"
                f"{self.feed} with config seq: {plan.seq}.",
                plan.seq,
            )
        if self.result.undecided:
            seqs = ", ".join(map(str, self.result.undecided[:10]))
            self.result.notes.append(f"{self.feed}: in flight, planned and not decided: {seqs}.")

    def _strangers(self) -> None:
        prefixes = layout.bronze_prefix(self.feed), layout.quarantine_prefix(self.feed)
        folders = (
            list(prefixes)
            if self._whole
            else [f"{p}arrival_date={day.isoformat()}/" for p in prefixes for day in self._dates]
        )
        plan_of = self.log.log.plan_of
        found = strangers_of_feed(self.lake, self.feed, folders, self._named, plan_of)
        self.result.findings += [*found, *strangers_of_log(self.feed, self.log.strange)]

    def _sum_up(self, others: int) -> None:
        found = self.result.findings
        log = sum(f.place.startswith("_offset_log/") for f in found)
        more = f"; {counted(others, 'stranger')} found" if others else ""
        self.result.ledgers = [self._checker.ledgers[s] for s in sorted(self._checker.ledgers)]
        self.result.checks += [
            Check(f"{self.feed}: offset log", counted(self._plans, "plan"), 0, log, self.feed),
            Check(
                f"{self.feed}: objects",
                f"{counted(self._objects, 'batch')} read whole{more}",
                self._bytes,
                len(found) - log,
                self.feed,
            ),
        ]

    def _find(self, kind: Kind, sentence: str, place: str, action: str, batch: int) -> None:
        self.result.findings.append(VerifyFinding(kind, sentence, place, action, self.feed, batch))


def _folded(log: LogSnapshot) -> LogState | None:
    try:
        return log.log.state()
    except DamagedLogError:
        # A plan is missing or no document, which is among the findings.
        return None
