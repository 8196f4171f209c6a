"""A modelled broker and store for the property tests of the offset log: crashes at any step.

The real ones run in the integration tests; here thousands of histories a second are tried.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from stock_pipeline.kafka.control import OffsetOutOfRangeError, payload_digest
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import (
    ObjectEntry,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from stock_pipeline.lib.formats.arrow import RECORDS

BASE_TIMESTAMP = 1_767_225_600_000  # 2026-01-01 00:00 UTC
WRITTEN = datetime(2026, 1, 1)


class Crash(BaseException):
    """The process died here; not an Exception, so that nothing catches it."""


class ModelLake:
    """A store with put-if-absent; dies before or after the chosen write."""

    bucket = "model"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.writes_until_crash: int | None = None
        self.crash_after_effect = False
        self.overwritten: list[str] = []
        #: Called once, just before the next write of a bronze object: a rival that is faster.
        self.before_bronze: Callable[[], None] | None = None
        self._coordinates: dict[str, list[tuple[int, int]]] = {}

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def _write(self, key: str, body: bytes | IO[bytes]) -> str:
        data = body if isinstance(body, bytes) else body.read()
        dies = self.writes_until_crash == 0
        if self.writes_until_crash is not None:
            self.writes_until_crash -= 1
        if dies and not self.crash_after_effect:
            raise Crash
        if self.objects.get(key, data) != data:
            self.overwritten.append(key)
        self.objects[key] = data
        if dies:
            raise Crash
        return self._etag(data)

    @staticmethod
    def _etag(data: bytes) -> str:
        return hashlib.md5(data).hexdigest()

    def put(self, key: str, body: bytes | IO[bytes]) -> str:
        self._let_the_rival_go_first(key)
        return self._write(key, body)

    def _let_the_rival_go_first(self, key: str) -> None:
        if self.before_bronze and key.startswith("bronze/"):
            rival, self.before_bronze = self.before_bronze, None
            rival()

    def put_if_absent(self, key: str, body: bytes | IO[bytes]) -> str:
        self._let_the_rival_go_first(key)
        if key in self.objects:
            raise PreconditionFailedError(key)
        return self._write(key, body)

    def get(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return self.objects[key], self._etag(self.objects[key])

    def head(self, key: str) -> ObjectEntry | None:
        data = self.objects.get(key)
        return None if data is None else ObjectEntry(key, self._etag(data), len(data), WRITTEN)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectEntry]:
        for key in sorted(k for k in self.objects if k.startswith(prefix) and k > after):
            yield ObjectEntry(key, self._etag(self.objects[key]), len(self.objects[key]), WRITTEN)

    def copy(self, source: str, target: str) -> None:
        self._write(target, self.get(source)[0])

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def open(self, key: str) -> IO[bytes]:
        return io.BytesIO(self.objects[key])

    def read_footer(self, key: str) -> bytes | None:
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        metadata = pq.read_metadata(io.BytesIO(self.objects[key])).metadata or {}
        return metadata.get(FOOTER_KEY)

    def table(self, key: str) -> pa.Table:
        return pq.read_table(io.BytesIO(self.objects[key]))

    def coordinates(self, key: str) -> builtins.list[tuple[int, int]]:
        """(partition, offset) of each row; kept, since objects are never overwritten."""
        if key not in self._coordinates:
            table = self.table(key)
            columns = (table["kafka_partition"].to_pylist(), table["kafka_offset"].to_pylist())
            self._coordinates[key] = [*zip(*columns, strict=True)]
        return self._coordinates[key]


class ModelTopic:
    """A topic whose partitions have records, holes, and a beginning that retention moves."""

    def __init__(self, partitions: int, life: int = 1) -> None:
        self.life = life
        self.records: dict[int, dict[int, bytes | None]] = {p: {} for p in range(partitions)}
        self.beginning = dict.fromkeys(range(partitions), 0)
        self.end = dict.fromkeys(range(partitions), 0)
        self.gives_topic_id = True

    def add_partition(self) -> None:
        partition = len(self.records)
        self.records[partition], self.beginning[partition], self.end[partition] = {}, 0, 0

    def append(self, partition: int, payload: bytes | None) -> None:
        self.records[partition][self.end[partition]] = payload
        self.end[partition] += 1

    def append_hole(self, partition: int) -> None:
        self.end[partition] += 1

    def expire(self, partition: int, count: int) -> None:
        new = min(self.beginning[partition] + count, self.end[partition])
        self.beginning[partition] = new
        for offset in [o for o in self.records[partition] if o < new]:
            del self.records[partition][offset]

    def offsets(self) -> TopicOffsets:
        return TopicOffsets(
            f"id-{self.life}" if self.gives_topic_id else None,
            {
                p: PartitionOffsets(self.beginning[p], self.end[p], self.end[p])
                for p in self.records
            },
        )

    def trade(self, partition: int, symbol: str = "SIM-A", venue: str = "") -> bytes:
        number = self.end[partition]
        return json.dumps(
            {
                "symbol": symbol,
                "time": BASE_TIMESTAMP + number,
                "price": 100.0 + number,
                "size": 1,
                "trade_id": f"{self.life}-{partition}-{number}",
                "venue": venue,
            }
        ).encode()


class ModelReader:
    """Reads the modelled topic in small chunks; may meet a retention that moves meanwhile."""

    def __init__(self, topic: ModelTopic, chunk: int = 3, expire_while_reading: int = 0) -> None:
        self.topic = topic
        self.chunk = chunk
        self.expire_while_reading = expire_while_reading

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        position = start
        while position < end:
            if partition not in self.topic.records:
                raise OffsetOutOfRangeError("model", partition, position)
            if not self.topic.beginning[partition] <= position <= self.topic.end[partition]:
                raise OffsetOutOfRangeError("model", partition, position)
            if position >= self.topic.end[partition]:
                raise AssertionError("read past the end: the plan goes beyond what was polled")
            upto = min(position + self.chunk, end)
            found = [
                (o, self.topic.records[partition][o])
                for o in range(position, upto)
                if o in self.topic.records[partition]
            ]
            position = upto
            if found:
                yield _records(partition, found)
            if self.expire_while_reading:
                self.topic.expire(partition, self.expire_while_reading)
                self.expire_while_reading = 0

    def record_at(self, partition: int, offset: int) -> tuple[int, str] | None:
        if offset not in self.topic.records.get(partition, {}):
            return None
        payload = self.topic.records[partition][offset]
        return BASE_TIMESTAMP + offset, payload_digest(payload)


def _records(partition: int, found: list[tuple[int, bytes | None]]) -> pa.Table:
    return pa.Table.from_pydict(
        {
            "kafka_partition": [partition] * len(found),
            "kafka_offset": [o for o, _ in found],
            "kafka_timestamp": [(BASE_TIMESTAMP + o) * 1000 for o, _ in found],
            "kafka_key": [None] * len(found),
            "payload": [payload for _, payload in found],
        },
        schema=RECORDS,
    )
