"""Planning of offset ranges: what the broker says of a topic, and the next plan from it.

Pure functions of a log that was folded and offsets that were polled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_pipeline.ingest.documents import OffsetRange, Plan
from stock_pipeline.ingest.identity import check_topic
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.kafka.offsets import TopicOffsets

#: Assumed until the first batch is decided.
DEFAULT_BYTES_PER_RECORD = 1024.0


@dataclass(frozen=True)
class Triggers:
    """When a batch is planned and how large it may be (records, bytes, seconds)."""

    min_records: int
    max_wait_seconds: float
    max_records: int
    max_bytes: int
    max_batches_in_flight: int


@dataclass(frozen=True)
class NoPlan:
    """Why nothing is planned now.

    Attributes:
        waiting: Records that no plan covers.
        in_flight: Batches without decision, when these are as many as the feed may have.
        seconds: Until a batch of so few records is due.
    """

    waiting: int
    in_flight: int | None = None
    seconds: float | None = None


def lag(state: LogState, offsets: TopicOffsets) -> dict[int, int]:
    """Readable offsets that no plan covers yet, per partition; holes are counted too."""
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
) -> Plan | NoPlan:
    """The next plan, or why there is none.

    Ranges start where the last plan of the incarnation ended. A new partition starts at its
    beginning (I7). Offsets that retention removed stay inside the range and are counted as lost
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
        return NoPlan(0)
    # A replay that cannot be decided must not keep new records waiting.
    in_flight = sum(plan.kind == "batch" for plan in state.pending)
    if in_flight >= triggers.max_batches_in_flight:
        return NoPlan(total, in_flight=in_flight)
    if not force and total < triggers.min_records and state.last_planned_at is not None:
        due = state.last_planned_at + timedelta(seconds=triggers.max_wait_seconds)
        # After a clock was set back, a feed must not wait until the old time comes again.
        if state.last_planned_at <= now < due:
            return NoPlan(total, seconds=(due - now).total_seconds())

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
    """Divide `cap` records: small partitions get all they have, large ones equal shares."""
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
