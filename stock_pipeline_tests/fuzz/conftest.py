"""The figures of the fuzzers stand at the end of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_SUMMARIES = pytest.StashKey[list[str]]()


@pytest.fixture
def at_the_end(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """`at_the_end(line)`: a line for the end of the test run."""
    return pytestconfig.stash.setdefault(_SUMMARIES, []).append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the collected lines."""
    for line in terminalreporter.config.stash.get(_SUMMARIES, []):
        terminalreporter.write_line(line)
