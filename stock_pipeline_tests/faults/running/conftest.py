"""One Dagster for all tests of this folder, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stock_pipeline.stack.local import LocalStack
from stock_pipeline_tests.faults.running.feeds import FEEDS
from stock_pipeline_tests.faults.running.running_dagster import RunningDagster, running_dagster
from stock_pipeline_tests.support.proxy import FaultProxy


@pytest.fixture(scope="package")
def dagster_proxy(ministack_endpoint: str) -> Iterator[FaultProxy]:
    """A proxy before its AWS emulator."""
    with FaultProxy(ministack_endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="package")
def dagster(
    broker: str,
    dagster_proxy: FaultProxy,
    local_stack: LocalStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningDagster]:
    """Dagster with a feed for each test."""
    folder = tmp_path_factory.mktemp("dagster")
    environment, refresh = local_stack.environment, {"min_interval_seconds": 1}
    with running_dagster(dagster_proxy, environment, folder, FEEDS, refresh=refresh) as dagster:
        yield dagster
