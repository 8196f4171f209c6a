"""Every process of `dagster dev` is killed once; the pipeline comes back by itself."""

from __future__ import annotations

import os
import signal

import pytest

from stock_pipeline_tests.faults.running.running_dagster import RunningDagster, patiently


@pytest.mark.timeout(2400)
def test_dagster_comes_back_whichever_of_its_processes_is_killed(dagster: RunningDagster):
    for command in (
        "dagster_webserver",
        "dagster._daemon",
        "dagster api grpc",
        "dagster code-server",
        "dagster dev",
    ):
        killed = dagster.processes_of(command)[0]
        os.kill(killed, signal.SIGKILL)

        def is_back(command: str = command, killed: int = killed) -> bool:
            dagster.keep_running()
            found = dagster.processes_of(command)
            return bool(found) and found[0] != killed and dagster.code_is_loaded()

        patiently(is_back, f"another {command}")
