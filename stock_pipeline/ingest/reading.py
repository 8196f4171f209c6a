"""The two interfaces to Kafka that reading a batch needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from stock_pipeline.kafka.offsets import TopicOffsets


class Reader(Protocol):
    """Reads records by offset; `kafka.reader.RangeReader` is the real one."""

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """Chunks of `[start, end)`; raises OffsetOutOfRangeError."""

    def record_at(self, partition: int, offset: int) -> tuple[int, str] | None:
        """Timestamp in milliseconds and digest of one record, None where there is none."""


class OffsetPoll(Protocol):
    """Polls the offsets of the feed's topic."""

    def __call__(self) -> TopicOffsets:
        """Offsets of all partitions."""
