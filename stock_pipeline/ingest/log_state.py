"""A feed's offset log, folded into the state that plans, replays and checks start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stock_pipeline.errors import UserError
from stock_pipeline.ingest.documents import Anchor, Checkpoint, Commit, Plan, PlannedReread


class DamagedLogError(UserError):
    """An object of the offset log is missing or is not as we write it: somebody has to restore it.

    Nothing of its feed is planned until then; other feeds go on.
    """


@dataclass(frozen=True)
class LogState:
    """A feed's offset log, folded.

    Attributes:
        next_seq: Sequence number of the next plan.
        incarnation: Incarnation of the topic that the last plan belongs to.
        topic_id: Topic id of the last plan of this incarnation.
        last_planned_at: When the last plan was made (UTC), None before the first.
        next_offsets: First offset that no plan of this incarnation covers, per partition.
        pending: Plans without a decision, oldest first.
        decided_through: Highest sequence number with everything below it decided; -1 for none.
        anchors: Last record read per partition in this incarnation.
        bytes_per_record: Mean payload size of the last decided batch that had records.
        replays: Replays that were planned, oldest first.
    """

    feed: str
    next_seq: int = 0
    incarnation: int = 1
    topic_id: str | None = None
    last_planned_at: datetime | None = None
    next_offsets: Mapping[int, int] = field(default_factory=dict)
    pending: tuple[Plan, ...] = ()
    decided_through: int = -1
    anchors: Mapping[int, Anchor] = field(default_factory=dict)
    bytes_per_record: float | None = None
    replays: tuple[PlannedReread, ...] = ()

    @property
    def superseded(self) -> dict[int, int]:
        """Batches whose rows no longer count, each with the batch that superseded it."""
        return {r.of: r.seq for r in self.replays if r.replaced}

    def has_decided(self, ends: Mapping[int, int]) -> bool:
        """Whether every offset below these ends, per partition, belongs to a decided batch."""
        return all(self.next_offsets.get(p, 0) >= end for p, end in ends.items()) and not any(
            offsets.start < ends.get(p, 0)
            for plan in self.pending
            for p, offsets in plan.ranges.items()
        )


def fold(
    feed: str,
    checkpoint: Checkpoint | None,
    plans: Iterable[Plan],
    commits: Mapping[int, Commit],
) -> LogState:
    """Fold the log above a checkpoint into a state.

    Args:
        feed: Name of the feed.
        checkpoint: Everything up to its sequence number; None for the whole log.
        plans: Plans above the checkpoint, in order of their sequence numbers, without a gap.
        commits: Commits above the checkpoint, by sequence number.

    Raises:
        DamagedLogError: A sequence number is missing: somebody deleted from the log.
    """
    state = _state_at(feed, checkpoint) if checkpoint else LogState(feed)
    next_seq, incarnation, topic_id = state.next_seq, state.incarnation, state.topic_id
    last_planned_at, decided_through = state.last_planned_at, state.decided_through
    next_offsets, anchors = dict(state.next_offsets), dict(state.anchors)
    bytes_per_record = state.bytes_per_record
    pending: list[Plan] = []
    replays = list(state.replays)
    for plan in plans:
        if plan.seq != next_seq:
            raise DamagedLogError(
                f"The offset log of feed {feed} has no plan {next_seq}, but has {plan.seq}: "
                "restore the missing object; nothing is planned until then."
            )
        next_seq += 1
        commit = commits.get(plan.seq)
        if plan.kind == "adopt":
            incarnation, next_offsets, anchors = plan.incarnation, {}, {}
        if plan.kind == "replay":
            replays += _rereads(plan, commit)
        else:
            last_planned_at, topic_id = plan.planned_at, plan.topic_id
            next_offsets |= {p: r.end for p, r in plan.ranges.items()}
        if commit is None and plan.kind != "adopt":
            pending.append(plan)
            continue
        if not pending:
            decided_through = plan.seq
        if commit and plan.incarnation == incarnation and plan.kind == "batch":
            decision = commit.decision
            for partition, anchor in decision.anchors.items():
                if partition not in anchors or anchors[partition].offset < anchor.offset:
                    anchors[partition] = anchor
            records = sum(c.accepted + c.rejected for c in decision.partitions.values())
            if records:
                bytes_per_record = decision.payload_bytes / records
    return replace(
        state,
        next_seq=next_seq,
        incarnation=incarnation,
        topic_id=topic_id,
        last_planned_at=last_planned_at,
        next_offsets=next_offsets,
        pending=tuple(pending),
        decided_through=decided_through,
        anchors=anchors,
        bytes_per_record=bytes_per_record,
        replays=tuple(replays),
    )


def _rereads(plan: Plan, commit: Commit | None) -> list[PlannedReread]:
    superseded = commit.decision.supersedes if commit else None
    return [
        PlannedReread(
            seq=plan.seq,
            of=of,
            offsets=plan.offsets,
            replaced=None if superseded is None else of in superseded,
        )
        for of in plan.replay_of
    ]


def checkpoint_of(state: LogState) -> Checkpoint | None:
    """The state as a checkpoint, or None while plans are pending or nothing was planned.

    A checkpoint is made only while no plan is pending. It covers every plan up to its sequence
    number, and a pending plan is still needed as an object of its own.
    """
    if state.pending or state.last_planned_at is None:
        return None
    return Checkpoint(
        feed=state.feed,
        seq=state.next_seq - 1,
        incarnation=state.incarnation,
        topic_id=state.topic_id,
        last_planned_at=state.last_planned_at,
        next_offsets=dict(state.next_offsets),
        anchors=dict(state.anchors),
        bytes_per_record=state.bytes_per_record,
        replays=state.replays,
    )


def _state_at(feed: str, checkpoint: Checkpoint) -> LogState:
    return LogState(
        feed,
        next_seq=checkpoint.seq + 1,
        incarnation=checkpoint.incarnation,
        topic_id=checkpoint.topic_id,
        last_planned_at=checkpoint.last_planned_at,
        next_offsets=checkpoint.next_offsets,
        decided_through=checkpoint.seq,
        anchors=checkpoint.anchors,
        bytes_per_record=checkpoint.bytes_per_record,
        replays=checkpoint.replays,
    )
