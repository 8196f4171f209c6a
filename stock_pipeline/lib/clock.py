"""The time as an argument: what decides by it takes a clock, so that a test can give its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

#: Tells the time, with UTC as its zone.
Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def naive_utc(clock: Clock) -> datetime:
    """The time as tables and logs hold it: UTC without a zone."""
    return clock().astimezone(UTC).replace(tzinfo=None)
