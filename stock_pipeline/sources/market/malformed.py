"""Damages messages on purpose, for the demo and the tests: they end up in quarantine."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator

from stock_pipeline.kafka.messages import Message

_PRICE = re.compile(rb'("(?:price|open|Open|1\. open)"\s*:\s*"?)[-\d]')


def _impossible(value: bytes) -> bytes:
    """Make the price negative; a message without a price becomes an empty object."""
    damaged, count = _PRICE.subn(rb"\g<1>-1", value, count=1)
    return damaged if count else b"{}"


#: Each makes a reject of a message, each for another reason. The last one damages one bar of a
#: vendor's document.
DAMAGES: tuple[Callable[[bytes], bytes | None], ...] = (
    lambda value: value[: len(value) // 2],
    lambda value: b"\xff\xfe" + value,
    lambda value: b"[" + value + b"]",
    lambda _: b"{}",
    lambda _: b"",
    lambda _: None,
    _impossible,
)


def damaged(message: Message, rng: random.Random) -> Message:
    """The message, damaged so that no decoder accepts the whole of it."""
    return message._replace(value=rng.choice(DAMAGES)(message.value or b""))


def with_malformed(messages: Iterable[Message], share: float, seed: int) -> Iterator[Message]:
    """The messages, with about this share damaged; a seed always damages the same ones."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    for message in messages:
        yield damaged(message, rng) if rng.random() < share else message
