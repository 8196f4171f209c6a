"""What every source yields and the publisher sends."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """A record to send to Kafka. A tuple, because sources make 50,000 of them a second.

    Attributes:
        key: Partition key: the symbol.
        value: Payload; None is a tombstone.
        headers: Record headers.
    """

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
