"""Plans that decide records again: a whole batch from Kafka, or rejects from quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from stock_pipeline.errors import UserError
from stock_pipeline.ingest.documents import Decision, OffsetRange, Plan, PlannedReread
from stock_pipeline.ingest.identity import recreated
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lib.intervals import with_numbers


class RereadError(UserError):
    """These records cannot be replayed; nothing was written."""


def supersede(
    state: LogState,
    old: Decision,
    offsets: TopicOffsets,
    *,
    decoder_version: str,
    now: datetime,
) -> Plan:
    """The plan that reads a decided batch from Kafka again and replaces its rows.

    Args:
        state: The feed's log, folded.
        old: The batch to replace.
        offsets: Polled offsets of the feed's topic.
        decoder_version: Version of today's decoder.
        now: Time of planning, naive UTC.

    Raises:
        RereadError: It was superseded already, belongs to an earlier incarnation, came from
            quarantine, or Kafka no longer has all its records.
    """
    seq, feed = old.plan.seq, state.feed
    if old.plan.offsets is not None:
        raise RereadError(
            f"Batch {seq} of feed {feed} came from quarantine, not from Kafka: its rejects can be "
            f"replayed again (stock-pipeline quarantine replay {feed}), nothing was planned."
        )
    if replay := _replacement(state, seq):
        done = "was replaced" if replay.replaced else "is being replaced"
        raise RereadError(
            f"Batch {seq} of feed {feed} {done} by batch {replay.seq}: name that one to read "
            "its records once more. Nothing was planned."
        )
    if reread_offsets(state, seq):
        raise RereadError(
            f"Rejects of batch {seq} of feed {feed} came back from quarantine already: reading the "
            "whole batch again would bring them twice. Nothing was planned."
        )
    if old.plan.incarnation != state.incarnation or recreated(state, offsets):
        raise RereadError(
            f"Batch {seq} of feed {feed} was read from an earlier incarnation of topic "
            f"{old.plan.topic}, whose records Kafka no longer has. Nothing was planned, its rows "
            "stay."
        )
    for partition, count in sorted(old.partitions.items()):
        polled = offsets.partitions.get(partition)
        if polled is None or polled.beginning > count.start:
            kept = "nothing" if polled is None else f"offsets from {polled.beginning} on"
            raise RereadError(
                f"Kafka no longer has all records of batch {seq} of feed {feed}: of partition "
                f"{partition} it has {kept}, the batch begins at {count.start}. Nothing was "
                "planned, its rows stay."
            )
    ranges = {p: OffsetRange(start=c.start, end=c.end) for p, c in old.partitions.items()}
    return _plan(state, old, ranges, None, decoder_version, now)


def requeue(
    state: LogState,
    old: Decision,
    rejects: Mapping[int, Iterable[int]],
    *,
    decoder_version: str,
    now: datetime,
) -> Plan | None:
    """The plan that decodes rejects of a batch again; None when all were replayed before.

    Args:
        state: The feed's log, folded.
        old: The batch that rejected them.
        rejects: Offsets of whole rejects per partition.
        decoder_version: Version of today's decoder.
        now: Time of planning, naive UTC.

    Raises:
        RereadError: The whole batch was superseded, or is being read again.
    """
    seq = old.plan.seq
    if replay := _replacement(state, seq):
        raise RereadError(
            f"Batch {seq} of feed {state.feed} was read again as batch {replay.seq}: replay "
            "the rejects of that one. Nothing was planned."
        )
    settled = reread_offsets(state, seq)
    open_rejects = {
        partition: fresh
        for partition, offsets in sorted(rejects.items())
        if (fresh := set(offsets) - settled.get(partition, set()))
    }
    if not open_rejects:
        return None
    exact = {p: _exact(offsets) for p, offsets in open_rejects.items()}
    ranges = {p: OffsetRange(start=r[0].start, end=r[-1].end) for p, r in exact.items()}
    return _plan(state, old, ranges, exact, decoder_version, now)


def reread_offsets(state: LogState, seq: int) -> dict[int, set[int]]:
    """Rejects of a batch that were replayed, or are planned to be, per partition."""
    found: dict[int, set[int]] = {}
    for replay in state.replays:
        if replay.of == seq:
            for partition, ranges in (replay.offsets or {}).items():
                found.setdefault(partition, set()).update(
                    offset for r in ranges for offset in range(r.start, r.end)
                )
    return found


def outcome(decision: Decision) -> str:
    """One sentence on what a replay did to the batch that it replays; "" for other batches."""
    plan = decision.plan
    if plan.kind != "replay":
        return ""
    of = plan.replay_of[0]
    if plan.offsets is not None:
        accepted = sum(p.accepted for p in decision.partitions.values())
        return (
            f"{accepted:,} rejects of batch {of} came back as {decision.rows:,} rows, "
            f"{decision.rejects:,} were rejected again"
        )
    if decision.supersedes:
        return (
            f"batch {of} is replaced: its rows count no more, those of batch {plan.seq} do "
            f"({decision.rows:,} rows, {decision.rejects:,} rejects)"
        )
    return (
        f"Kafka no longer has exactly the records of batch {of}: it stays as it is, batch "
        f"{plan.seq} is empty"
    )


def _replacement(state: LogState, seq: int) -> PlannedReread | None:
    """The replay that superseded a whole batch, or is planned to; None without one."""
    whole = (r for r in state.replays if r.of == seq and r.offsets is None)
    return next((r for r in whole if r.replaced is not False), None)


def _exact(offsets: Iterable[int]) -> tuple[OffsetRange, ...]:
    return tuple(OffsetRange(start=start, end=end) for start, end in with_numbers((), offsets))


def _plan(
    state: LogState,
    old: Decision,
    ranges: dict[int, OffsetRange],
    offsets: dict[int, tuple[OffsetRange, ...]] | None,
    decoder_version: str,
    now: datetime,
) -> Plan:
    return Plan(
        kind="replay",
        feed=state.feed,
        topic=old.plan.topic,
        seq=state.next_seq,
        incarnation=old.plan.incarnation,
        topic_id=old.plan.topic_id,
        planned_at=now,
        decoder_version=decoder_version,
        ranges=ranges,
        replay_of=(old.plan.seq,),
        offsets=offsets,
    )
