"""Kafka: offsets and topics by kafka-python, bulk reads by confluent-kafka.

kafka-python is the control plane: one admin connection answers for all topics at once. Bulk reads
take librdkafka, which gave 160,000 to 500,000 records/s where kafka-python gave 80,000 to 110,000
(100-byte JSON, one consumer, same broker).
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stock_pipeline.lib.offsets import PartitionOffsets, TopicOffsets
from stock_pipeline.settings import FeedSettings, KafkaSettings

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

#: Records in one chunk of a read: what a batch holds in memory does not grow with its length.
CHUNK_RECORDS = 50_000
CHUNK_BYTES = 32 * 1024 * 1024


class KafkaUnavailableError(Exception):
    """The brokers do not answer, or broke off; nothing was lost, the caller asks again later."""


class OffsetOutOfRangeError(Exception):
    """The broker no longer has, or does not have yet, an offset that was asked for."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"Topic {topic} partition {partition} has no offset {offset}.")
        self.offset = offset


class KafkaControl:
    """Offsets, topics and their configuration; keeps one connection for its lifetime."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._admin: Any = None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def topic_offsets(self, topics: Sequence[str]) -> dict[str, TopicOffsets | None]:
        """Beginning and end of every partition; None for a topic that does not exist.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        with _Translated(self):
            described = [t for t in self._connection().describe_topics(list(topics)) if t["name"]]
            ids = {t["name"]: t["topic_id"] for t in described if not t["error_code"]}
            partitions = [
                TopicPartition(t["name"], p["partition_index"])
                for t in described
                if t["name"] in ids
                for p in t["partitions"]
            ]
            polled = [
                self._list_offsets(dict.fromkeys(partitions, spec), committed)
                for spec, committed in (
                    (OffsetSpec.EARLIEST, False),
                    (OffsetSpec.LATEST, True),
                    (OffsetSpec.LATEST, False),
                )
            ]
        answer: dict[str, TopicOffsets | None] = dict.fromkeys(topics)
        for topic, topic_id in ids.items():
            answer[topic] = TopicOffsets(
                # Zeros: a broker that gives its topics no id.
                str(topic_id) if topic_id and uuid.UUID(str(topic_id)).int else None,
                {
                    tp.partition: PartitionOffsets(*(offsets[tp] for offsets in polled))
                    for tp in partitions
                    if tp.topic == topic
                },
            )
        return answer

    def oldest_timestamps(
        self, waiting: Mapping[tuple[str, int], int], retention_seconds: float
    ) -> dict[tuple[str, int], float]:
        """Estimate when the record at an offset was written, as a Unix time in seconds.

        Asks which offset a time has, halving the retention period ten times for all partitions at
        once: a sensor may poll offsets but reads no record.

        Args:
            waiting: Offset of the oldest unread record per (topic, partition).
            retention_seconds: How far back to search.
        """
        from kafka import TopicPartition

        now = time.time()
        low = dict.fromkeys(waiting, now - 2 * retention_seconds)
        high = dict.fromkeys(waiting, now)
        with _Translated(self):
            for _ in range(10):
                middle = {key: (low[key] + high[key]) / 2 for key in waiting}
                times = {TopicPartition(*key): int(at * 1000) for key, at in middle.items()}
                offsets = self._list_offsets(times, committed=False)
                for key, offset in waiting.items():
                    found = offsets[TopicPartition(*key)]
                    if 0 <= found <= offset:
                        low[key] = middle[key]
                    else:
                        high[key] = middle[key]
        return low

    def ensure_topic(self, feed: FeedSettings) -> bool:
        """Create the feed's topic where it is missing; True when it was created."""
        from kafka.admin import NewTopic

        if self.topic_offsets([feed.topic])[feed.topic] is not None:
            return False
        with _Translated(self):
            self._connection().create_topics(
                [
                    NewTopic(
                        feed.topic,
                        num_partitions=feed.partitions,
                        replication_factor=-1,
                        topic_configs={"retention.ms": str(feed.retention_minutes * 60_000)},
                    )
                ]
            )
        return True

    def delete_records(self, topic: str, below: Mapping[int, int]) -> None:
        """Delete the records of each partition below an offset.

        Raises:
            KafkaUnavailableError: The brokers do not answer, or refuse.
        """
        from kafka import TopicPartition

        with _Translated(self):
            self._connection().delete_records(
                {TopicPartition(topic, partition): offset for partition, offset in below.items()}
            )

    def _connection(self) -> Any:
        if self._admin is None:
            from kafka import KafkaAdminClient

            timeout = int(self.settings.request_timeout_seconds * 1000)
            self._admin = KafkaAdminClient(
                bootstrap_servers=self.settings.bootstrap_servers.split(","),
                client_id="stock-pipeline",
                request_timeout_ms=timeout,
                bootstrap_timeout_ms=timeout,
            )
        return self._admin

    def _list_offsets(self, specs: Mapping[Any, Any], committed: bool) -> dict[Any, int]:
        answer = self._connection().list_partition_offsets(
            specs, isolation_level="read_committed" if committed else "read_uncommitted"
        )
        return {partition: found.offset for partition, found in answer.items()}


class _Translated:
    """Turns kafka-python's errors into ours, and drops the connection that had one."""

    def __init__(self, control: KafkaControl) -> None:
        self.control = control

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from kafka.errors import KafkaError

        if isinstance(error, (KafkaError, OSError, TimeoutError)):
            try:
                self.control.close()
            except (KafkaError, OSError):
                logger.debug("closing a broken connection failed", exc_info=True)
            raise KafkaUnavailableError(
                f"Kafka at {self.control.settings.bootstrap_servers} does not answer "
                f"({type(error).__name__}: {str(error) or 'no detail'}); records wait in their "
                "topics, nothing is lost. Check that the broker runs: stock-pipeline doctor"
            ) from error


class RangeReader:
    """Reads exactly `[start, end)` of partitions; no consumer group, nothing is committed."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        from confluent_kafka import Consumer

        self.settings = settings
        self.topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                # Required by the client, never used: nothing is committed or subscribed.
                "group.id": "stock-pipeline-unused",
                "client.id": "stock-pipeline-ingest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "socket.timeout.ms": max(1000, int(settings.request_timeout_seconds * 1000)),
                # Memory of the prefetch queue stays bounded whatever the size of a message.
                "queued.min.messages": 200_000,
                "queued.max.messages.kbytes": 65_536,
                "fetch.message.max.bytes": 8 * 1024 * 1024,
                # The embedded broker ignores every limit on a fetch and answers with all it has:
                # librdkafka's limit of 100 MB would stop it for good at a million records.
                "receive.message.max.bytes": 2_000_000_000,
                "fetch.wait.max.ms": 100,
                "log_level": 2,
            }
        )

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """Chunks of the records in `[start, end)`, as RECORDS tables in offset order.

        Ends when the position has reached the end, never by count: compaction and transaction
        markers leave holes.

        Raises:
            OffsetOutOfRangeError: Retention or truncation removed the offset to be read next.
            KafkaUnavailableError: No answer within the request timeout.
        """
        from confluent_kafka import KafkaError, TopicPartition

        self._consumer.assign([TopicPartition(self.topic, partition, start)])
        position, chunk, chunk_bytes = start, [], 0
        heard = time.monotonic()
        try:
            while position < end:
                # `consume` waits for all that it was asked for: ask for no more than is missing.
                messages = self._consumer.consume(min(10_000, end - position), 0.1)
                if not messages:
                    waited = time.monotonic() - heard
                    if waited > max(30.0, 3 * self.settings.request_timeout_seconds):
                        raise KafkaUnavailableError(
                            f"Topic {self.topic} partition {partition} sent nothing for "
                            f"{waited:.0f} s at offset {position} of {end}; nothing was written, "
                            "the batch is read again."
                        )
                    continue
                # Whole lists, not a loop over messages: a third of the time of a read was there.
                records = [m for m in messages if m.error() is None]
                if records:
                    heard = time.monotonic()
                    position = records[-1].offset() + 1
                    if position > end:
                        records = [m for m in records if m.offset() < end]
                    chunk += records
                    chunk_bytes += sum(map(len, records))
                for error, offset in [
                    (m.error(), m.offset())
                    for m in messages
                    if len(records) < len(messages) and m.error() is not None
                ]:
                    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                        position = max(position, offset)
                    elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                        if chunk:
                            yield _records(partition, chunk)
                        raise OffsetOutOfRangeError(self.topic, partition, position)
                    elif error.fatal():
                        raise KafkaUnavailableError(
                            f"Topic {self.topic} partition {partition}: {error.str()}; nothing was "
                            "written, the batch is read again."
                        )
                    else:
                        logger.warning("%s partition %d: %s", self.topic, partition, error.str())
                if chunk and (len(chunk) >= CHUNK_RECORDS or chunk_bytes >= CHUNK_BYTES):
                    yield _records(partition, chunk)
                    chunk, chunk_bytes = [], 0
            if chunk:
                yield _records(partition, chunk)
        finally:
            self._consumer.unassign()

    def record_at(self, partition: int, offset: int) -> tuple[int, str] | None:
        """Timestamp (ms) and digest of the record at an offset.

        None when compaction, retention or a transaction marker left nothing there.
        """
        try:
            for table in self.read(partition, offset, offset + 1):
                timestamp = table["kafka_timestamp"][0].value // 1000
                return timestamp, payload_digest(table["payload"][0].as_py())
        except OffsetOutOfRangeError:
            return None
        return None


def payload_digest(payload: bytes | None) -> str:
    """SHA-256 of one record's payload; a tombstone is not an empty payload."""
    return hashlib.sha256(b"\0" if payload is None else b"\1" + payload).hexdigest()


def _records(partition: int, messages: list[Any]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from stock_pipeline.lib.schemas import RECORDS

    timestamps = np.array([m.timestamp()[1] for m in messages], np.int64)
    return pa.Table.from_arrays(
        [
            pa.array(np.full(len(messages), partition, np.int32)),
            pa.array([m.offset() for m in messages], pa.int64()),
            # A record without a timestamp has -1: 1970 says so better than a failure.
            pa.array(np.maximum(timestamps, 0) * 1000).cast(pa.timestamp("us")),
            pa.array([m.key() for m in messages], pa.binary()),
            pa.array([m.value() for m in messages], pa.binary()),
        ],
        schema=RECORDS,
    )
