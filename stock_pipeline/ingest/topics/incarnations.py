"""Where the partitions of a new incarnation begin."""

from __future__ import annotations

from datetime import UTC, datetime

from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.offsets import TopicOffsets


def start_offsets(planner: Planner, name: str, offsets: TopicOffsets, to: str) -> dict[int, int]:
    """First offset to read of each partition.

    Args:
        planner: Knows the broker.
        name: Name of the feed.
        offsets: Polled offsets of its topic.
        to: `earliest`, `latest`, or a time in ISO form, UTC where it names no zone.

    Raises:
        ValueError: `to` is none of these.
    """
    if to == "earliest":
        return {p: o.beginning for p, o in offsets.partitions.items()}
    if to == "latest":
        return {p: o.end for p, o in offsets.partitions.items()}
    try:
        at = datetime.fromisoformat(to)
    except ValueError:
        raise ValueError(
            f"--to {to!r} is neither earliest, latest nor a time such as 2026-11-21T09:30 (UTC)."
        ) from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    topic = planner.settings.feeds[name].topic
    found = planner.kafka.offsets_at(topic, sorted(offsets.partitions), at)
    return {p: offsets.partitions[p].end if o is None else o for p, o in found.items()}
