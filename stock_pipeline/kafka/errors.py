"""What goes wrong with Kafka, in sentences."""

from __future__ import annotations


class KafkaUnavailableError(Exception):
    """The brokers do not answer, or broke off; nothing was lost, the caller asks again later."""


class KafkaAccessError(KafkaUnavailableError):
    """The brokers and this client refuse each other; goes away by itself once mended.

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


class OffsetOutOfRangeError(Exception):
    """The broker no longer has, or does not have yet, an offset that was asked for."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"Topic {topic} partition {partition} has no offset {offset}.")
        self.offset = offset
