"""A new incarnation of a feed: where it begins, whether that is safe, and its plan in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stock_pipeline.errors import TemporaryError, UsageError, UserError
from stock_pipeline.ingest.anchors import topic_change
from stock_pipeline.ingest.decode import DECODER_VERSION
from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offsets import adopt
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lib.clock import naive_utc


class IncarnationError(UserError):
    """The feed must not go on there: records would be read twice, or lost. Nothing was changed."""


class RivalPlanError(TemporaryError):
    """Another plan was written meanwhile; nothing was changed."""


@dataclass(frozen=True)
class NewIncarnation:
    """How a feed would go on.

    Attributes:
        feed: Name of the feed.
        number: Of the incarnation.
        offsets: Polled offsets of its topic.
        starts: First offset of each partition; None for the beginning.
        skipped: Offsets before `starts` that would never be read.
    """

    feed: str
    number: int
    offsets: TopicOffsets
    starts: Mapping[int, int] | None = None
    skipped: int = 0

    @property
    def records(self) -> int:
        """Offsets that the topic holds."""
        return sum(o.end - o.beginning for o in self.offsets.partitions.values())


def adoption(planner: Planner, name: str) -> NewIncarnation:
    """How a feed would go on with a topic that was recreated or truncated, from its beginning.

    Args:
        planner: Knows the broker and the log.
        name: Name of the feed.

    Raises:
        IncarnationError: The topic does not exist, or is the one that was read.
        KafkaUnavailableError: The brokers do not answer.
    """
    offsets, state = _polled(planner, name), planner.logs[name].state()
    if not _changed(planner, name, state, offsets):
        raise IncarnationError(
            f"Topic {planner.settings.feeds[name].topic} is the one that feed {name} reads: "
            "adopting it would bring every record twice. Nothing was changed. To leave out what "
            f"waits: stock-pipeline feed reset {name} --to latest"
        )
    return NewIncarnation(name, state.incarnation + 1, offsets)


def new_start(planner: Planner, name: str, to: str) -> NewIncarnation:
    """How a feed would go on from another place.

    In a topic that was recreated that may be anywhere; in one that is still the same the feed may
    only go forward.

    Args:
        planner: Knows the broker and the log.
        name: Name of the feed.
        to: `earliest`, `latest`, or a time in ISO form, UTC where it names no zone.

    Raises:
        UsageError: `to` is none of these.
        IncarnationError: The topic does not exist, batches are in flight, or the place is behind
            what was read.
        KafkaUnavailableError: The brokers do not answer.
    """
    offsets, state = _polled(planner, name), planner.logs[name].state()
    starts = start_offsets(planner, name, offsets, to)
    begin = {p: offsets.partitions[p].beginning for p in starts}
    if not _changed(planner, name, state, offsets):
        begin = {p: max(state.next_offsets.get(p, 0), first) for p, first in begin.items()}
        _refuse_to_lose_or_repeat(name, state, starts, begin)
    skipped = sum(start - begin[p] for p, start in starts.items())
    return NewIncarnation(name, state.incarnation + 1, offsets, starts, skipped)


def open_incarnation(planner: Planner, new: NewIncarnation) -> Plan:
    """Write the plan that begins it; what the old one had planned and not read counts as lost.

    Raises:
        RivalPlanError: Another plan was written meanwhile.
    """
    log = planner.logs[new.feed]
    plan = adopt(
        log.state(),
        new.offsets,
        topic=planner.settings.feeds[new.feed].topic,
        decoder_version=DECODER_VERSION,
        now=naive_utc(planner.clock),
        starts=dict(new.starts) if new.starts is not None else None,
    )
    if not log.put_plan(plan):
        raise RivalPlanError("Another plan was written meanwhile: look at it, then try again.")
    return plan


def start_offsets(planner: Planner, name: str, offsets: TopicOffsets, to: str) -> dict[int, int]:
    """First offset to read of each partition.

    Args:
        planner: Knows the broker.
        name: Name of the feed.
        offsets: Polled offsets of its topic.
        to: `earliest`, `latest`, or a time in ISO form, UTC where it names no zone.

    Raises:
        UsageError: `to` is none of these.
    """
    if to == "earliest":
        return {p: o.beginning for p, o in offsets.partitions.items()}
    if to == "latest":
        return {p: o.end for p, o in offsets.partitions.items()}
    try:
        at = datetime.fromisoformat(to)
    except ValueError:
        raise UsageError(
            f"--to {to!r} is neither earliest, latest nor a time such as 2026-11-21T09:30 (UTC)."
        ) from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    topic = planner.settings.feeds[name].topic
    found = planner.kafka.offsets_at(topic, sorted(offsets.partitions), at)
    return {p: offsets.partitions[p].end if o is None else o for p, o in found.items()}


def _refuse_to_lose_or_repeat(
    name: str, state: LogState, starts: Mapping[int, int], planned: Mapping[int, int]
) -> None:
    if state.pending:
        raise IncarnationError(
            f"Batches {[plan.seq for plan in state.pending]} of feed {name} are in flight: their "
            "records would be lost. Nothing was changed; reset it when they are decided."
        )
    back = {p: start for p, start in starts.items() if start < planned[p]}
    if back:
        partition, start = min(back.items())
        raise IncarnationError(
            f"Partition {partition} is read up to offset {planned[partition]}: going back to "
            f"{start} would bring its records twice. Nothing was changed; to read batches again: "
            f"stock-pipeline batch supersede {name} ..."
        )


def _polled(planner: Planner, name: str) -> TopicOffsets:
    topic = planner.settings.feeds[name].topic
    offsets = planner.poll()[topic]
    if offsets is None:
        raise IncarnationError(f"Topic {topic} does not exist: create it first.")
    return offsets


def _changed(planner: Planner, name: str, state: LogState, offsets: TopicOffsets) -> bool:
    topic = planner.settings.feeds[name].topic
    return bool(topic_change(planner.settings.kafka, topic, state, offsets))
