"""Every process of `dagster dev` is killed once; the pipeline comes back by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request

import pytest

from stock_pipeline.stack.children import dagster_process, ui_is_ready
from stock_pipeline.stack.code_location import reload_unreachable_locations
from stock_pipeline.stack.ports import free_port
from stock_pipeline.stack.supervisor import Supervisor
from stock_pipeline_tests.stack.test_supervisor import until

LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries {
  locationOrLoadError { __typename } } } } }"""


@pytest.fixture
def dagster(broker, ministack_endpoint, local_stack, settings_for, tmp_path):
    settings_for()
    port = free_port()
    supervisor = Supervisor(tmp_path / "logs", lambda _: None)
    supervisor.start(dagster_process(tmp_path, port, local_stack.environment))
    yield supervisor, f"http://127.0.0.1:{port}"
    supervisor.stop_all()


def code_is_loaded(url: str) -> bool:
    if not ui_is_ready(url):
        return False
    request = urllib.request.Request(
        f"{url}/graphql",
        data=json.dumps({"query": LOCATION}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        workspace = json.load(answer)["data"]["workspaceOrError"]
    kinds = [entry["locationOrLoadError"] for entry in workspace["locationEntries"]]
    return kinds == [{"__typename": "RepositoryLocation"}]


def process_of(supervisor: Supervisor, command: str) -> int | None:
    """The process of this session whose command line contains the text."""
    session = str(supervisor.child("dagster").pid)
    found = subprocess.run(["pgrep", "-s", session, "-f", command], capture_output=True, text=True)
    return int(found.stdout.split()[0]) if found.stdout else None


@pytest.mark.timeout(600)
def test_dagster_comes_back_whichever_of_its_processes_is_killed(dagster):
    supervisor, url = dagster
    until(lambda: code_is_loaded(url), 120)

    for command in (
        "dagster_webserver",
        "dagster._daemon",
        "dagster api grpc",
        "dagster code-server",
        "dagster dev",
    ):
        killed = process_of(supervisor, command)
        os.kill(killed, signal.SIGKILL)

        def is_back(command: str = command, killed: int = killed) -> bool:
            supervisor.check()
            reload_unreachable_locations(url)
            return process_of(supervisor, command) not in {None, killed} and code_is_loaded(url)

        until(is_back, 120)
