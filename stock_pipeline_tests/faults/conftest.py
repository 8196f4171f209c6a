"""Prints at the end of a session what was done to the pipeline, and what came of it."""

from __future__ import annotations

from typing import Any

from stock_pipeline_tests.faults.tally import TALLY


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line of figures, where a test of this folder counted any."""
    if TALLY.records or TALLY.kills or TALLY.faults:
        terminalreporter.write_line(f"faults: {TALLY.sentence()}")
