"""A proxy and settings for fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stock_pipeline.settings import Settings
from stock_pipeline_tests.faults.killing import settings_of
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
