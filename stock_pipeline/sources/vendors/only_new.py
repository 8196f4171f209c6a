"""Leaves out messages that were sent before, where a vendor repeats them in every answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from stock_pipeline.kafka.messages import Message


class OnlyNew:
    """Remembers the last answer to each request; a message that has changed is new."""

    def __init__(self) -> None:
        self._last: dict[Hashable, set[Message]] = {}

    def of(self, question: Hashable, answer: Iterable[Message]) -> list[Message]:
        """The messages that the answer before did not have."""
        messages, last = list(answer), self._last.get(question, set())
        self._last[question] = set(messages)
        return [message for message in messages if message not in last]
