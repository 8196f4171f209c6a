"""Planning of offset ranges: the offset log folded into a state, and the next plan from it.

Pure functions: the sensor and the tests call them with offsets that they polled or made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stock_pipeline.lib.batches import Anchor, Checkpoint, Commit, OffsetRange, Plan, Replay

#: Assumed until a batch was decided: small enough that the first batch of large documents fits.
DEFAULT_BYTES_PER_RECORD = 1024.0


class TopicChangedError(Exception):
    """The topic is not the one that was read before: recreated, truncated or another cluster's."""


@dataclass(frozen=True)
class PartitionOffsets:
    """What the broker says of a partition.

    Attributes:
        beginning: First offset that retention has kept.
        end: Offset after the last readable record (last stable offset under `read_committed`).
        high_watermark: Offset after the last record, open transactions included; None if unknown.
    """

    beginning: int
    end: int
    high_watermark: int | None = None


@dataclass(frozen=True)
class TopicOffsets:
    """What the broker says of a topic; `topic_id` is None where the broker gives none."""

    topic_id: str | None
    partitions: Mapping[int, PartitionOffsets]


@dataclass(frozen=True)
class Triggers:
    """When a batch is planned and how large it may be (records, bytes, seconds)."""

    min_records: int
    max_wait_seconds: float
    max_records: int
    max_bytes: int
    max_batches_in_flight: int


@dataclass(frozen=True)
class LogState:
    """A feed's offset log, folded.

    Attributes:
        next_seq: Sequence number of the next plan.
        incarnation: Life of the topic that the last plan belongs to.
        topic_id: Topic id of the last plan of this incarnation.
        last_planned_at: When the last plan was made (UTC), None before the first.
        next_offsets: First offset that no plan of this incarnation covers, per partition.
        pending: Plans without a decision, oldest first.
        decided_through: Highest sequence number with everything below it decided; -1 for none.
        anchors: Last record read per partition in this incarnation.
        bytes_per_record: Mean payload size of the last decided batch that had records.
        replays: What was asked to be decided again, oldest first.
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
    replays: tuple[Replay, ...] = ()

    @property
    def superseded(self) -> dict[int, int]:
        """Batches whose rows count no more, each with the batch that replaced it."""
        return {r.of: r.seq for r in self.replays if r.replaced}


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
        ValueError: A sequence number is missing: somebody deleted from the log.
    """
    state = LogState(feed)
    if checkpoint:
        state = LogState(
            feed,
            next_seq=checkpoint.seq + 1,
            incarnation=checkpoint.incarnation,
            topic_id=checkpoint.topic_id,
            last_planned_at=checkpoint.last_planned_at,
            next_offsets=dict(checkpoint.next_offsets),
            decided_through=checkpoint.seq,
            anchors=dict(checkpoint.anchors),
            bytes_per_record=checkpoint.bytes_per_record,
            replays=checkpoint.replays,
        )
    next_seq, incarnation, topic_id = state.next_seq, state.incarnation, state.topic_id
    last_planned_at, decided_through = state.last_planned_at, state.decided_through
    next_offsets, anchors = dict(state.next_offsets), dict(state.anchors)
    bytes_per_record = state.bytes_per_record
    pending: list[Plan] = []
    replays = list(state.replays)
    for plan in plans:
        if plan.seq != next_seq:
            raise ValueError(
                f"The offset log of feed {feed} has no plan {next_seq}, but has {plan.seq}: "
                "restore the missing object; nothing is planned until then."
            )
        next_seq += 1
        commit = commits.get(plan.seq)
        if plan.kind == "adopt":
            incarnation, next_offsets, anchors = plan.incarnation, {}, {}
        if plan.kind == "replay":
            replays += _replays(plan, commit)
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
    return LogState(
        feed,
        next_seq,
        incarnation,
        topic_id,
        last_planned_at,
        next_offsets,
        tuple(pending),
        decided_through,
        anchors,
        bytes_per_record,
        tuple(replays),
    )


def _replays(plan: Plan, commit: Commit | None) -> list[Replay]:
    superseded = commit.decision.supersedes if commit else None
    return [
        Replay(
            seq=plan.seq,
            of=of,
            offsets=plan.offsets,
            replaced=None if superseded is None else of in superseded,
        )
        for of in plan.replay_of
    ]


def checkpoint_of(state: LogState) -> Checkpoint | None:
    """The state as a checkpoint, or None while plans are pending or nothing was planned.

    Only a log without pending plans is folded away: what a checkpoint says of offsets holds for all
    plans, so it may not pass one that could still need its plan object.
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


def check_topic(state: LogState, topic: str, offsets: TopicOffsets) -> None:
    """Refuse a topic that cannot be the one whose offsets were read before (I5).

    Raises:
        TopicChangedError: Another topic id, a vanished partition, or an end below what was read.
    """
    adopt = f"Nothing was read; to go on with it as it is: stock-pipeline feed adopt {state.feed}"
    if state.topic_id and offsets.topic_id and state.topic_id != offsets.topic_id:
        raise TopicChangedError(
            f"Topic {topic} was recreated: its id is {offsets.topic_id}, the log's last plan saw "
            f"{state.topic_id}. {adopt}"
        )
    for partition, next_offset in sorted(state.next_offsets.items()):
        polled = offsets.partitions.get(partition)
        if polled is None:
            raise TopicChangedError(
                f"Topic {topic} has no partition {partition} any more, of which offsets below "
                f"{next_offset} are planned. {adopt}"
            )
        end = max(polled.end, polled.high_watermark or 0)
        if end < next_offset:
            raise TopicChangedError(
                f"Topic {topic} partition {partition} ends at offset {end}, below offset "
                f"{next_offset} that is already planned: truncated or recreated. {adopt}"
            )


def lag(state: LogState, offsets: TopicOffsets) -> dict[int, int]:
    """Readable offsets that no plan covers yet, per partition; holes count too."""
    return {
        partition: max(0, polled.end - max(state.next_offsets.get(partition, 0), polled.beginning))
        for partition, polled in offsets.partitions.items()
    }


def lost(state: LogState, offsets: TopicOffsets) -> dict[int, OffsetRange]:
    """Offsets that retention removed before any plan covered them, per partition."""
    return {
        partition: OffsetRange(start=next_offset, end=offsets.partitions[partition].beginning)
        for partition, next_offset in state.next_offsets.items()
        if partition in offsets.partitions and offsets.partitions[partition].beginning > next_offset
    }


def plan_next(
    state: LogState,
    offsets: TopicOffsets,
    triggers: Triggers,
    *,
    topic: str,
    decoder_version: str,
    now: datetime,
    force: bool = False,
) -> Plan | str:
    """The next plan, or one short sentence why there is none.

    Ranges go on where the last plan of the incarnation ended; a partition that appears starts at
    its beginning (I7). Offsets that retention removed stay inside the range and are counted as lost
    when it is read, so that ranges leave no gap (I2).

    Args:
        state: The log, folded.
        offsets: Polled offsets.
        triggers: Batch triggers and caps.
        topic: Name of the topic.
        decoder_version: Version of the decoder, fixed by the plan.
        now: Time of planning, naive UTC.
        force: Plan what waits, whatever the triggers say.

    Raises:
        TopicChangedError: The topic is not the one that was read before.
    """
    check_topic(state, topic, offsets)
    waiting = lag(state, offsets)
    total = sum(waiting.values())
    gone = lost(state, offsets)
    if not total and not gone:
        return "nothing waiting"
    # A replay that cannot be decided must not keep new records waiting.
    in_flight = sum(plan.kind == "batch" for plan in state.pending)
    if in_flight >= triggers.max_batches_in_flight:
        return f"{total:,} records waiting, {in_flight} batches in flight"
    if not force and total < triggers.min_records and state.last_planned_at is not None:
        due = state.last_planned_at + timedelta(seconds=triggers.max_wait_seconds)
        # A clock that was set back must not stop a feed until the old time comes again.
        if state.last_planned_at <= now < due:
            return f"{total:,} records waiting, next batch in {(due - now).total_seconds():.0f} s"

    bytes_per_record = state.bytes_per_record or DEFAULT_BYTES_PER_RECORD
    cap = max(1, min(triggers.max_records, int(triggers.max_bytes / max(bytes_per_record, 1.0))))
    ranges = {}
    for partition, records in _share(waiting, cap).items():
        polled = offsets.partitions[partition]
        start = state.next_offsets.get(partition, polled.beginning)
        if records or partition in gone:
            ranges[partition] = OffsetRange(start=start, end=max(start, polled.beginning) + records)
    return Plan(
        feed=state.feed,
        topic=topic,
        seq=state.next_seq,
        incarnation=state.incarnation,
        topic_id=offsets.topic_id,
        planned_at=now,
        decoder_version=decoder_version,
        ranges=ranges,
    )


def _share(waiting: Mapping[int, int], cap: int) -> dict[int, int]:
    """Divide `cap` records fairly: small partitions whole, the large ones evenly."""
    shares = {}
    for rank, (partition, records) in enumerate(sorted(waiting.items(), key=lambda item: item[1])):
        shares[partition] = min(records, cap // (len(waiting) - rank))
        cap -= shares[partition]
    return shares


def adopt(
    state: LogState,
    offsets: TopicOffsets,
    *,
    topic: str,
    decoder_version: str,
    now: datetime,
    starts: Mapping[int, int] | None = None,
) -> Plan:
    """The plan that opens a new incarnation.

    Args:
        state: The log, folded.
        offsets: Polled offsets of the topic to go on with.
        topic: Its name.
        decoder_version: Version of the decoder.
        now: Time of planning, naive UTC.
        starts: First offset to read per partition; the beginning of each without it.
    """
    begin = {p: (starts or {}).get(p, o.beginning) for p, o in offsets.partitions.items()}
    return Plan(
        kind="adopt",
        feed=state.feed,
        topic=topic,
        seq=state.next_seq,
        incarnation=state.incarnation + 1,
        topic_id=offsets.topic_id,
        planned_at=now,
        decoder_version=decoder_version,
        ranges={p: OffsetRange(start=start, end=start) for p, start in begin.items()},
    )
