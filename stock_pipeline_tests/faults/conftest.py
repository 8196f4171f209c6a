"""A proxy and settings for fault tests; at the end, what was done to the pipeline, as figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stock_pipeline.settings import Settings
from stock_pipeline_tests.faults.killing import settings_of
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.support.proxy import FaultProxy


@pytest.fixture
def proxy(ministack_endpoint: str) -> Iterator[FaultProxy]:
    """A proxy before the AWS emulator, without a fault yet."""
    with FaultProxy(ministack_endpoint) as proxy:
        yield proxy


@pytest.fixture
def settings(settings_for, lake, broker) -> Settings:
    """Of one feed, for jobs."""
    return settings_of(settings_for)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line of figures, where a test of this folder counted any."""
    if TALLY.records or TALLY.kills or TALLY.faults:
        terminalreporter.write_line(f"faults: {TALLY.sentence()}")
