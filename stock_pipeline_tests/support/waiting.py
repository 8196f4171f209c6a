"""Conditions that tests await."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.settings import Settings

Found = TypeVar("Found")


def until(condition: Callable[[], Found], what: str, seconds: float = 120.0) -> Found:
    """What the condition gave when it held; fail, naming it, when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found


def wait_for_transactions(settings: Settings, topic: str) -> None:
    """Until none of the topic is open: a broker answers a commit before it marks the partitions."""
    control = KafkaControl(settings.kafka)

    def are_over() -> bool:
        offsets = control.topic_offsets([topic])[topic]
        assert offsets is not None
        return all(p.end == p.high_watermark for p in offsets.partitions.values())

    try:
        until(are_over, f"the transactions of {topic} are over")
    finally:
        control.close()
