"""What a benchmark returns, and how it takes the time."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Made = TypeVar("Made")


def figure(
    name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None
) -> dict[str, object]:
    """A line of the README's table.

    Args:
        name: What was measured.
        value: As it is shown.
        unit: Of the value and its budget.
        most: The largest value that is good.
        least: The smallest, where there is no largest.
    """
    if most is not None:
        budget, holds = f"<= {most:,}", value <= most
    else:
        assert least is not None
        budget, holds = f">= {least:,}", value >= least
    return {"name": name, "value": value, "unit": unit, "budget": budget, "holds": holds}


def median_of_three(work: Callable[[], Made]) -> tuple[Made, float]:
    """What it gave, and its seconds."""
    seconds: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        made = work()
        seconds.append(time.perf_counter() - started)
    return made, round(statistics.median(seconds), 2)


def tell(figures: Sequence[dict[str, object]]) -> None:
    """Print them as `make bench` reads them: the last line is JSON."""
    sys.stdout.write(json.dumps(figures) + "\n")
