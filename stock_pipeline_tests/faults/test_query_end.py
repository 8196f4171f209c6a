"""A question that has its rows before all objects are read, while the store is slow."""

from __future__ import annotations

import subprocess
import sys
from subprocess import PIPE

import pytest

from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline_tests.support.fault_kinds import slow
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.small_lake import daily_bars, put

YEARS = range(2015, 2027)


@pytest.mark.timeout(120)
def test_a_query_that_needs_no_more_rows_ends_well_while_other_objects_are_being_opened(
    settings_for, ministack_endpoint, proxy: FaultProxy, monkeypatch
):
    settings = settings_for()
    lake = Lake(settings.aws)
    for year in YEARS:
        put(lake, BARS_DAILY_TABLE, str(year), daily_bars(year), MadeFrom())
    # The first year answers at once; the others are still being opened when the process ends.
    others = "|".join(f"year={year}" for year in YEARS[1:])
    proxy.add(slow(1.0), operation="HeadObject|GetObject", key=others)
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", proxy.url)
    sql = "SELECT symbol FROM silver.bars_daily LIMIT 1"
    command = [sys.executable, "-m", "stock_pipeline", "query", sql, "--format", "csv"]
    # Several: one that called Python from the threads that read was aborted every third time.
    asking = [subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) for _ in range(4)]
    for process in asking:
        answer = process.communicate(timeout=60)
        assert (process.returncode, *answer) == (0, "symbol\nAAA\n", "")
