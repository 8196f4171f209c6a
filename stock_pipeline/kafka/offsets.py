"""Offsets of a topic as the broker reports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PartitionOffsets:
    """What the broker says of a partition.

    Attributes:
        beginning: First offset that the broker still has.
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
