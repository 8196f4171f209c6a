"""The offset log in the lake: plans and commits, each written once, by the first writer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import ValidationError

from stock_pipeline.ingest.documents import Checkpoint, Commit, Document, Plan
from stock_pipeline.ingest.log_state import DamagedLogError, LogState, checkpoint_of, fold
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake, ObjectNotFoundError, PreconditionFailedError

logger = logging.getLogger(__name__)

#: A cold start reads at most about this many plans and commits beside the checkpoint.
CHECKPOINT_EVERY = 64

D = TypeVar("D", bound=Document)


class OffsetLog:
    """One feed's log.

    Plans and commits never change, so an instance keeps those that it has read. In a long-lived
    process a tick costs two listings. Not safe for several threads at once.
    """

    def __init__(self, lake: Lake, feed: str) -> None:
        self.lake = lake
        self.feed = feed
        self._checkpoint: Checkpoint | None = None
        self._looked_for_checkpoint = False
        self._plans: dict[int, Plan] = {}
        self._commits: dict[int, Commit] = {}

    def state(self) -> LogState:
        """The log as it is now, folded.

        Raises:
            DamagedLogError: A plan is missing from the sequence, or a document is none of ours.
        """
        # Read once: a checkpoint that a rival writes later only repeats what plans and commits say.
        if not self._looked_for_checkpoint:
            self._checkpoint = self._latest_checkpoint()
            self._looked_for_checkpoint = True
        through = self._through
        # Commits are listed first: a plan may appear between the two listings, but a commit must
        # never be seen without its plan.
        self._read_new(layout.commit_prefix(self.feed), through, self._commits, Commit)
        self._read_new(layout.plan_prefix(self.feed), through, self._plans, Plan)
        return self.known_state()

    def known_state(self) -> LogState:
        """The log as `state` read it, plus what was written here since; sends no request."""
        plans = [self._plans[seq] for seq in sorted(self._plans) if seq > self._through]
        return fold(self.feed, self._checkpoint, plans, self._commits)

    @property
    def _through(self) -> int:
        return self._checkpoint.seq if self._checkpoint else -1

    def put_plan(self, plan: Plan) -> bool:
        """Write a plan; False when another writer has that sequence number.

        When the answer to a PUT is lost and the PUT is repeated, it meets its own object. That
        counts as success.
        """
        won = self._put_once(layout.plan_key(self.feed, plan.seq), plan)
        if won:
            self._plans[plan.seq] = plan
        return won

    def put_commit(self, commit: Commit) -> None:
        """Write the index entry of a decision; if one is there already, it is the same."""
        self._put_once(layout.commit_key(self.feed, commit.decision.plan.seq), commit)

    def plan_of(self, seq: int) -> Plan | None:
        """The plan with this sequence number, None where there is none."""
        return self._plans.get(seq) or self._get(layout.plan_key(self.feed, seq), Plan)

    def commit_of(self, seq: int) -> Commit | None:
        """The commit with this sequence number, None where the batch is undecided."""
        return self._commits.get(seq) or self._get(layout.commit_key(self.feed, seq), Commit)

    def commits(self, after: int = -1) -> Iterator[Commit]:
        """Commits with a sequence number above `after`, in order; some may not be written yet."""
        prefix = layout.commit_prefix(self.feed)
        keys = [entry.key for entry in self.lake.list(prefix, _after(prefix, after))]
        yield from self._get_all(keys, Commit)

    def write_checkpoint(self) -> Checkpoint | None:
        """Fold the log into a checkpoint object when nothing is pending; remove older ones."""
        checkpoint = checkpoint_of(self.state())
        if checkpoint is None or (self._checkpoint and self._checkpoint.seq == checkpoint.seq):
            return None
        key = layout.checkpoint_key(self.feed, checkpoint.seq)
        self._put_once(key, checkpoint)
        for entry in list(self.lake.list(layout.checkpoint_prefix(self.feed))):
            # Only older ones are removed: a rival may have written a later one meanwhile.
            if entry.key < key:
                self.lake.delete(entry.key)
        self._checkpoint = checkpoint
        self._plans = {s: p for s, p in self._plans.items() if s > checkpoint.seq}
        self._commits = {s: c for s, c in self._commits.items() if s > checkpoint.seq}
        return checkpoint

    def write_checkpoint_if_due(self) -> Checkpoint | None:
        """Write a checkpoint when the tail above the last one has grown long."""
        return self.write_checkpoint() if len(self._plans) >= CHECKPOINT_EVERY else None

    def sweep_attempts(self) -> int:
        """Remove the rejects of attempts at decided batches; returns how many there were.

        The rejects of the attempt that decided were copied to quarantine before the commit.
        """
        removed = 0
        for entry in list(self.lake.list(layout.attempt_prefix(self.feed))):
            if self.commit_of(layout.seq_of_key(entry.key)):
                self.lake.delete(entry.key)
                removed += 1
        return removed

    def _latest_checkpoint(self) -> Checkpoint | None:
        # A rival may delete an older checkpoint between our listing and our read. Then list again.
        while True:
            entries = list(self.lake.list(layout.checkpoint_prefix(self.feed)))
            if not entries:
                return None
            checkpoint = self._get(entries[-1].key, Checkpoint)
            if checkpoint:
                return checkpoint

    def _read_new(self, prefix: str, through: int, known: dict[int, D], kind: type[D]) -> None:
        # Commits may appear out of order, so the listing starts at the checkpoint, not at the
        # newest known.
        keys = [
            entry.key
            for entry in self.lake.list(prefix, _after(prefix, through))
            if layout.seq_of_key(entry.key) not in known
        ]
        for key, document in zip(keys, self._get_all(keys, kind), strict=True):
            known[layout.seq_of_key(key)] = document

    def _get_all(self, keys: list[str], kind: type[D]) -> Iterable[D]:
        if len(keys) <= 1:
            return [self._read(key, kind) for key in keys]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda key: self._read(key, kind), keys))

    def _get(self, key: str, kind: type[D]) -> D | None:
        try:
            return self._read(key, kind)
        except ObjectNotFoundError:
            return None

    def _read(self, key: str, kind: type[D]) -> D:
        body, _ = self.lake.get(key)
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise DamagedLogError(
                f"{self.lake.uri(key)} is no {kind.__name__.lower()} ({error.errors()[0]['msg']}): "
                f"restore an earlier version of it. Nothing of feed {self.feed} is planned until "
                "then; other feeds go on."
            ) from error

    def _put_once(self, key: str, document: Document) -> bool:
        body = document.model_dump_json().encode()
        try:
            self.lake.put_if_absent(key, body)
        except PreconditionFailedError:
            return self.lake.get(key)[0] == body
        return True


def _after(prefix: str, seq: int) -> str:
    """Key to start a listing after, so that it begins with `seq` + 1."""
    return f"{prefix}{seq:0{layout.SEQ_DIGITS}d}.json" if seq >= 0 else ""
