"""The topic of the property test on Apache Kafka: every step is done there, and mirrored."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stock_pipeline.kafka.control import KafkaControl, RangeReader
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.settings import KafkaSettings
from stock_pipeline_tests.support.model import BASE_TIMESTAMP, ModelTopic
from stock_pipeline_tests.support.waiting import until

if TYPE_CHECKING:
    import pyarrow as pa


class Broker:
    """Connections to the broker for one history of the property test, and its one topic."""

    def __init__(self, bootstrap_servers: str) -> None:
        from confluent_kafka.admin import AdminClient

        self.settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
        self.topic = f"property-{uuid.uuid4().hex[:10]}"
        options = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
        self.admin = AdminClient(options)
        self.control = KafkaControl(self.settings)
        self._options = options
        self._forget()

    def _forget(self) -> None:
        """New producers: the old ones learn only after minutes that the topic has changed."""
        from confluent_kafka import Producer

        # Not idempotent: a topic that is made again has lost the numbers of its records.
        self.producer = Producer({**self._options, "linger.ms": 0})
        self._transactional: Any = None

    def create(self, partitions: int) -> None:
        from confluent_kafka.admin import NewTopic

        # Records keep the model's timestamps, which are old.
        new = NewTopic(self.topic, partitions, 1, config={"retention.ms": "-1"})
        self.admin.create_topics([new])[self.topic].result(60)

    def delete(self) -> None:
        self.admin.delete_topics([self.topic])[self.topic].result(60)
        until(
            lambda: self.topic not in self.admin.list_topics(timeout=30).topics, "the topic is gone"
        )
        self._forget()

    def append(self, partition: int, payload: bytes | None, timestamp: int) -> int:
        """Send one record; its offset."""
        offsets: list[int] = []

        def told(error: object, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        self.producer.produce(
            self.topic, payload, partition=partition, timestamp=timestamp, on_delivery=told
        )
        assert self.producer.flush(60) == 0
        return offsets[0]

    def abort(self, partition: int) -> None:
        """A transaction of one record that is aborted: two offsets without a record."""
        from confluent_kafka import Producer

        if self._transactional is None:
            identity = f"{self.topic}-{uuid.uuid4().hex[:6]}"
            self._transactional = Producer({**self._options, "transactional.id": identity})
            self._transactional.init_transactions(60)
        self._transactional.begin_transaction()
        self._transactional.produce(self.topic, b"never seen", partition=partition)
        self._transactional.flush(60)
        self._transactional.abort_transaction(60)

    def grow(self, partitions: int) -> None:
        from confluent_kafka.admin import NewPartitions

        self.admin.create_partitions([NewPartitions(self.topic, partitions)])[self.topic].result(60)
        self._forget()

    def close(self) -> None:
        self.admin.delete_topics([self.topic])[self.topic].result(60)
        self.control.close()


class RealTopic(ModelTopic):
    """Does to the broker what the model does to itself; the model then says what must be there."""

    def __init__(self, broker: Broker, partitions: int, life: int) -> None:
        super().__init__(partitions, life)
        self.broker = broker
        if life > 1:
            broker.delete()
        broker.create(partitions)

    def add_partition(self) -> None:
        super().add_partition()
        self.broker.grow(len(self.records))
        # Asks until the broker knows them all: a producer that is told of fewer refuses.
        self.offsets()

    def append(self, partition: int, payload: bytes | None) -> None:
        timestamp = BASE_TIMESTAMP + self.end[partition]
        assert self.broker.append(partition, payload, timestamp) == self.end[partition]
        super().append(partition, payload)

    def append_hole(self, partition: int) -> None:
        self.broker.abort(partition)
        super().append_hole(partition)
        super().append_hole(partition)
        # The marker is written after the client has its answer.
        self.offsets()

    def expire(self, partition: int, count: int) -> None:
        before = self.beginning[partition]
        super().expire(partition, count)
        if self.beginning[partition] > before:
            below: Mapping[int, int] = {partition: self.beginning[partition]}
            self.broker.control.delete_records(self.broker.topic, below)

    def offsets(self) -> TopicOffsets:
        """What the broker says, once it says what the model does: it tells its own clients late."""
        expected = super().offsets().partitions
        polled: list[TopicOffsets] = []

        def agrees() -> bool:
            found = self.broker.control.topic_offsets([self.broker.topic])[self.broker.topic]
            if found is not None:
                polled.append(found)
            return found is not None and found.partitions == expected

        until(agrees, f"the broker's offsets are {expected}", seconds=30)
        return polled[-1] if self.gives_topic_id else dataclasses.replace(polled[-1], topic_id=None)


class RealReader:
    """The pipeline's own reader; retention may move after the first records."""

    def __init__(self, topic: RealTopic, expire_while_reading: int) -> None:
        self.topic = topic
        self.expire_while_reading = expire_while_reading
        self.reader = RangeReader(topic.broker.settings, topic.broker.topic)

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        if self.expire_while_reading:
            middle = min(start + 2, end)
            yield from self.reader.read(partition, start, middle)
            self.topic.expire(partition, self.expire_while_reading)
            self.expire_while_reading, start = 0, middle
        yield from self.reader.read(partition, start, end)

    def record_at(self, partition: int, offset: int) -> tuple[int, str] | None:
        return self.reader.record_at(partition, offset)
