"""Sending messages to Kafka: idempotent, acknowledged by all replicas, bounded in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from stock_pipeline.settings import KafkaSettings
from stock_pipeline.sources.messages import Message

#: Messages that may wait for their acknowledgement; sending pauses beyond it.
MAX_IN_FLIGHT = 20_000
#: How long a message may take, retries included: the brokers may be away for that long.
DELIVERY_SECONDS = 120.0


class PublishError(Exception):
    """Messages could not be delivered; the sentence says how many were."""


class Publisher:
    """Sends messages to one topic in order, each at most once and, unless it raises, exactly once.

    kafka-python delivers 55,000 to 65,000 messages/s of 100 bytes on one core; it is enough for
    what we simulate and replay.

    Args:
        settings: Brokers.
        topic: Where to; must exist.

    Raises:
        PublishError: The brokers do not answer.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        self.topic = topic
        self.delivered = 0
        self._waiting: deque[Any] = deque()
        self._servers = settings.bootstrap_servers
        timeout_ms = int(settings.request_timeout_seconds * 1000)
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=settings.bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                linger_ms=20,
                batch_size=256 * 1024,
                max_request_size=32 * 1024 * 1024,
                max_block_ms=timeout_ms,
                request_timeout_ms=timeout_ms,
                delivery_timeout_ms=int(DELIVERY_SECONDS * 1000),
            )
        except KafkaError as error:
            raise PublishError(
                f"The brokers at {self._servers} do not answer ({error}); nothing was sent."
                " Is the stack running? `stock-pipeline doctor` tells."
            ) from error

    def send(self, messages: Iterable[Message]) -> int:
        """Hand over messages, waiting while too many are under way; returns how many.

        Raises:
            PublishError: One of these, or an earlier one, could not be delivered.
        """
        from kafka.errors import KafkaError

        count = 0
        for message in messages:
            try:
                self._waiting.append(
                    self._producer.send(
                        self.topic,
                        value=message.value,
                        key=message.key,
                        headers=list(message.headers),
                    )
                )
            except KafkaError as error:
                raise self._failure(error) from error
            count += 1
            if len(self._waiting) > MAX_IN_FLIGHT:
                self._settle(MAX_IN_FLIGHT // 2)
        self._settle(MAX_IN_FLIGHT)
        return count

    def flush(self) -> None:
        """Wait until all are delivered.

        Raises:
            PublishError: One could not be delivered.
        """
        from kafka.errors import KafkaError

        try:
            self._producer.flush(DELIVERY_SECONDS)
        except KafkaError as error:
            raise self._failure(error) from error
        self._settle(0)

    def close(self) -> None:
        """Stop; what is not delivered by now is given a second."""
        self._producer.close(timeout=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def _settle(self, allowed: int) -> None:
        """Take in acknowledgements until at most `allowed` are missing."""
        from kafka.errors import KafkaError

        while self._waiting and (len(self._waiting) > allowed or self._waiting[0].is_done):
            try:
                self._waiting.popleft().get(timeout=DELIVERY_SECONDS)
            except KafkaError as error:
                raise self._failure(error) from error
            self.delivered += 1

    def _failure(self, error: Exception) -> PublishError:
        return PublishError(
            f"Topic {self.topic} at {self._servers} did not take a message ({error});"
            f" {self.delivered:,} were delivered, up to {len(self._waiting) + 1:,} after them may"
            " be missing. Does the topic exist, and do the brokers run? `stock-pipeline doctor`"
            " tells."
        )
