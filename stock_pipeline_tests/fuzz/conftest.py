"""The figures of the fuzzers stand at the end of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stock_pipeline_tests.support.figures import LINES


@pytest.fixture
def at_the_end(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """`at_the_end(line)`: a line for the end of the test run."""
    return pytestconfig.stash.setdefault(LINES, []).append
