"""Figures for the end of a test run, gathered from its workers."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest

from stock_pipeline_tests.faults.tally import TALLY

LINES = pytest.StashKey[list[str]]()
SENT = "stock_pipeline_figures"


def send(config: pytest.Config) -> None:
    """A worker's figures, to the session that started it."""
    sent: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if sent is not None:
        sent[SENT] = (asdict(TALLY), config.stash.get(LINES, []))


def receive(config: pytest.Config, output: dict[str, Any]) -> None:
    """Add what a worker sent to ours; one that was killed sent nothing."""
    counts, lines = output.get(SENT, ({}, []))
    for name, count in counts.items():
        setattr(TALLY, name, getattr(TALLY, name) + count)
    config.stash.setdefault(LINES, []).extend(lines)


def lines_of(config: pytest.Config) -> list[str]:
    """What to print."""
    lines = [*config.stash.setdefault(LINES, [])]
    if any(getattr(TALLY, field.name) for field in fields(TALLY)):
        lines.append(f"faults: {TALLY.sentence()}")
    return lines
