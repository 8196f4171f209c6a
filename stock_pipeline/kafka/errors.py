"""Errors of Kafka, each with a sentence for people."""

from __future__ import annotations

from stock_pipeline.errors import InternalError, TemporaryError


class KafkaUnavailableError(TemporaryError):
    """The brokers do not answer, or broke off. Nothing was lost; the caller tries again later."""


class KafkaAccessError(KafkaUnavailableError):
    """The brokers refuse this client, or it refuses them; passes once the cause is corrected.

    Attributes:
        problem: What is refused, where, and by whom; no secret.
        remedy: What to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(
            f"{problem}; records wait in Kafka, nothing is lost, and reading goes on by itself "
            f"once that is mended. {remedy}"
        )
        self.problem = problem
        self.remedy = remedy


class OffsetOutOfRangeError(InternalError):
    """The broker no longer has an offset that was asked for, or does not have it yet."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"Topic {topic} partition {partition} has no offset {offset}.")
        self.offset = offset
