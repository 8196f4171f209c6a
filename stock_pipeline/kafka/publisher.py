"""Sending messages to Kafka: idempotent, acknowledged by all replicas, bounded in memory.

It uses confluent-kafka, which takes 0.16 s of a core for 100,000 messages of 100 bytes.
kafka-python takes 1.4 s and fell behind a simulated market of 50,000 messages/s.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from stock_pipeline.errors import TemporaryError
from stock_pipeline.kafka.clients import librdkafka_options
from stock_pipeline.kafka.errors import KafkaAccessError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.kafka.refusals import access_problem, refused
from stock_pipeline.settings import KafkaSettings

logger = logging.getLogger(__name__)

#: How long a message may take, retries included. The brokers may be unreachable for that long.
DELIVERY_SECONDS = 120.0
#: How long closing waits for messages that are still under way.
CLOSING_SECONDS = 15.0
MAX_WAITING_MESSAGES = 100_000
MAX_WAITING_KIBIBYTES = 64 * 1024


class PublishError(TemporaryError):
    """Messages could not be delivered; the sentence says how many were delivered."""


class Publisher:
    """Sends messages to one topic in order, exactly once unless it raises.

    Leaving it as a context manager waits until everything is delivered.

    Args:
        settings: Brokers.
        topic: Name of the topic; it must exist.

    Raises:
        PublishError: The brokers do not answer, or have no such topic.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        from confluent_kafka import KafkaError, KafkaException, Producer

        self.topic = topic
        #: Messages that the brokers have acknowledged.
        self.delivered = 0
        self._failed = 0
        self._failure: str | None = None
        self._forbidden = False
        self._settings = settings
        self._servers = settings.bootstrap_servers
        try:
            options = librdkafka_options(settings)
        except KafkaAccessError as error:
            raise _unsent(error) from None
        # Found out first: librdkafka would try to log in until its timeout.
        if settings.security.protocol != "plaintext" and (problem := access_problem(settings)):
            raise _unsent(problem)
        self._producer: Any = Producer(
            options
            | {
                # Replicas may take longer to acknowledge than a request may take otherwise.
                "socket.timeout.ms": 60_000,
                "enable.idempotence": True,
                "acks": "all",
                # The embedded broker writes all that it holds to disk every second or two: 36,000
                # trades sent one by one are 17 MB there, in compressed batches of 20 they are 3 MB.
                "linger.ms": 500,
                "compression.type": "zstd",
                "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
                "message.max.bytes": 32 * 1024 * 1024,
                "queue.buffering.max.messages": MAX_WAITING_MESSAGES,
                "queue.buffering.max.kbytes": MAX_WAITING_KIBIBYTES,
                # The partitioner of all other clients: a symbol always goes to one partition.
                "partitioner": "murmur2_random",
            },
            logger=logger,
        )
        self._producer.poll(0)  # Fetches the token, where we log in with one.
        try:
            found = self._producer.list_topics(topic, timeout=settings.request_timeout_seconds)
        except KafkaException as error:
            if refusal := access_problem(settings):
                raise _unsent(refusal) from None
            raise PublishError(
                f"The brokers at {self._servers} do not answer ({error.args[0].str()}); nothing"
                " was sent. Is the stack running? `stock-pipeline doctor` tells."
            ) from error
        missing = found.topics[topic].error
        if missing is not None and missing.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise _unsent(refused(settings, f"write topic {topic}", "Write"))
        if missing is not None:
            raise PublishError(
                f"Topic {topic} cannot be written at {self._servers} ({missing.str()}); nothing"
                " was sent. `stock-pipeline doctor` tells what is missing."
            )

    def send(self, messages: Iterable[Message]) -> int:
        """Send messages, waiting while too many are under way; returns how many were sent.

        Raises:
            PublishError: One of these, or an earlier one, could not be delivered.
        """
        from confluent_kafka import KafkaException

        count, produce = 0, self._producer.produce
        for message in messages:
            while True:
                try:
                    produce(
                        self.topic,
                        value=message.value,
                        key=message.key,
                        headers=list(message.headers) or None,
                        on_delivery=self._on_delivery,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
                    self._raise_failure()
                except KafkaException as error:
                    self._fail(error.args[0].str())
                    self._raise_failure()
            count += 1
        self._producer.poll(0)
        self._raise_failure()
        return count

    def flush(self, seconds: float = DELIVERY_SECONDS) -> None:
        """Wait until all are delivered.

        Raises:
            PublishError: A message could not be delivered, or not in this time.
        """
        missing = self._producer.flush(seconds)
        if missing:
            self._fail(f"no acknowledgement within {seconds:g} s", missing)
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.flush(CLOSING_SECONDS)
        self._producer.purge()

    def _on_delivery(self, error: Any, _message: Any) -> None:
        if error is None:
            self.delivered += 1
        else:
            self._forbidden = error.name() == "TOPIC_AUTHORIZATION_FAILED"
            self._fail(error.str())

    def _fail(self, reason: str, messages: int = 1) -> None:
        self._failed += messages
        self._failure = self._failure or reason

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        remedy = "Do the brokers run? `stock-pipeline doctor` tells"
        if refusal := (
            refused(self._settings, f"write topic {self.topic}", "Write")
            if self._forbidden
            else access_problem(self._settings)
        ):
            remedy = f"{refusal.problem}. {refusal.remedy.rstrip('.')}"
        raise PublishError(
            f"Topic {self.topic} at {self._servers} did not take {self._failed:,} or more messages"
            f" ({self._failure}); {self.delivered:,} were delivered. {remedy}; what is missing can"
            " be sent again."
        )


def _unsent(problem: KafkaAccessError) -> PublishError:
    return PublishError(f"{problem.problem}; nothing was sent. {problem.remedy}")
