"""Kafka's control plane by kafka-python: one connection serves all topics.

Bulk reads use another client, see `kafka/reader.py`. Both take their options from
`kafka/clients.py`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stock_pipeline.kafka.clients import admin_options, renewed
from stock_pipeline.kafka.errors import (
    KafkaAccessError,
    KafkaUnavailableError,
    OffsetOutOfRangeError,
)
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets
from stock_pipeline.kafka.reader import RangeReader, payload_digest
from stock_pipeline.kafka.refusals import access_problem, refused
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import KafkaSettings

logger = logging.getLogger(__name__)

#: Kafka's error code.
TOPIC_AUTHORIZATION_FAILED = 29

__all__ = [
    "KafkaAccessError",
    "KafkaControl",
    "KafkaUnavailableError",
    "OffsetOutOfRangeError",
    "PolledTopics",
    "RangeReader",
    "payload_digest",
]


class PolledTopics(dict[str, TopicOffsets | None]):
    """Offsets by topic, None for one that does not exist.

    A topic that the brokers do not let us read is missing, and looking it up raises the reason: a
    permission that is missing for one topic must not stop the feeds of other topics.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, KafkaAccessError] = {}

    def __missing__(self, topic: str) -> TopicOffsets | None:
        raise self.refused[topic]


class KafkaControl:
    """Offsets, topics and their configuration; keeps one connection for its lifetime."""

    def __init__(self, settings: KafkaSettings, clock: Clock = system_clock) -> None:
        self.clock = clock
        self.settings = self._given = settings
        self._admin: Any = None
        self._was_refused = False

    def raise_if_refused(self) -> None:
        """Find out whether the brokers refuse us, or we refuse them.

        Raises:
            KafkaAccessError: One side refuses the other.
        """
        if problem := access_problem(self.settings):
            self._was_refused = True
            raise problem from None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def topic_offsets(self, topics: Sequence[str]) -> PolledTopics:
        """Beginning and end of every partition; None for a topic that does not exist.

        Raises:
            KafkaUnavailableError: The brokers do not answer, or refuse us. If only the permission
                for one topic is missing, looking up that topic in the answer raises.
        """
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        answer = PolledTopics()
        with _Translated(self):
            described = [t for t in self._connection().describe_topics(list(topics)) if t["name"]]
            closed = [t["name"] for t in described if _closed(t)]
            answer.refused = {t: refused(self.settings, f"read topic {t}") for t in closed}
            described = [t for t in described if t["name"] not in answer.refused]
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
        answer.update(dict.fromkeys(t for t in topics if t not in answer.refused))
        for topic, topic_id in ids.items():
            answer[topic] = TopicOffsets(
                # A broker that gives its topics no ids sends zeros.
                str(topic_id) if topic_id and uuid.UUID(str(topic_id)).int else None,
                {
                    tp.partition: PartitionOffsets(*(offsets[tp] for offsets in polled))
                    for tp in partitions
                    if tp.topic == topic
                },
            )
        return answer

    def offsets_at(
        self, topic: str, partitions: Sequence[int], at: datetime
    ) -> dict[int, int | None]:
        """First offset of each partition with a timestamp not before `at`; None past the end.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        from kafka import TopicPartition

        milliseconds = int(at.timestamp() * 1000)
        with _Translated(self):
            found = self._list_offsets(
                {TopicPartition(topic, p): milliseconds for p in partitions}, committed=False
            )
        return {tp.partition: offset if offset >= 0 else None for tp, offset in found.items()}

    def oldest_timestamps(
        self, waiting: Mapping[tuple[str, int], int], retention_seconds: float
    ) -> dict[tuple[str, int], float]:
        """Estimate when the record at an offset was written, as a Unix time in seconds.

        A sensor polls offsets and reads no record. So this asks for the offset of a time and
        halves the retention period ten times, for all partitions at once.

        Args:
            waiting: Offset of the oldest unread record per (topic, partition).
            retention_seconds: How far back to search.
        """
        from kafka import TopicPartition

        now = self.clock().timestamp()
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

    def retention_seconds(self, topic: str, otherwise: float) -> float | None:
        """How long the broker keeps records of a topic; None for ever.

        Args:
            topic: Name of the topic.
            otherwise: Seconds to assume where the brokers do not tell us.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        from kafka.admin import ConfigResource, ConfigResourceType

        names = ("cleanup.policy", "retention.ms")
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(names, ""))
        with _Translated(self):
            answer = self._connection().describe_configs([resource], config_filter="all")
        found = {n: c["value"] for n, c in answer.get("topic", {}).get(topic, {}).items()}
        if "delete" not in found.get("cleanup.policy", "delete"):
            return None
        milliseconds = int(found.get("retention.ms", otherwise * 1000))
        return milliseconds / 1000 if milliseconds >= 0 else None

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

            if self._was_refused:
                self.settings = renewed(self._given)
            # Where we have to log in, find out first whether we can: kafka-python would try until
            # its timeout.
            if self.settings.security.protocol != "plaintext":
                self.raise_if_refused()
            self._admin = KafkaAdminClient(**admin_options(self.settings))
            self._was_refused = False
        return self._admin

    def _list_offsets(self, specs: Mapping[Any, Any], committed: bool) -> dict[Any, int]:
        answer = self._connection().list_partition_offsets(
            specs, isolation_level="read_committed" if committed else "read_uncommitted"
        )
        return {partition: found.offset for partition, found in answer.items()}


class _Translated:
    """Turns kafka-python's errors into ours, and drops the connection on which one occurred."""

    def __init__(self, control: KafkaControl) -> None:
        self.control = control

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from kafka.errors import AuthorizationError, KafkaError

        if not isinstance(error, (KafkaError, OSError)):
            return
        try:
            self.control.close()
        except (KafkaError, OSError):
            logger.debug("closing a broken connection failed", exc_info=True)
        settings = self.control.settings
        if isinstance(error, AuthorizationError):
            raise refused(settings, f"do this ({type(error).__name__})") from None
        self.control.raise_if_refused()
        raise KafkaUnavailableError(
            f"Kafka at {settings.bootstrap_servers} does not answer "
            f"({str(error) or type(error).__name__}); records wait in their "
            "topics, nothing is lost. Check that the broker runs: stock-pipeline doctor"
        ) from error


def _closed(topic: Mapping[str, Any]) -> bool:
    """Whether we lack the permission to describe or to read a described topic."""
    allowed = topic.get("authorized_operations")
    # A broker without permissions names none.
    return topic["error_code"] == TOPIC_AUTHORIZATION_FAILED or bool(
        allowed and "READ" not in allowed
    )
