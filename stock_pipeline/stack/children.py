"""Dagster, the simulator and the sample replay, as processes of the local profile."""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from stock_pipeline.settings import Settings, project_root
from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import ProcessSpec

DAILY_FEED = "stock_index_daily"


def ui_is_ready(url: str) -> bool:
    """Whether Dagster's web server answers."""
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def dagster_process(
    home: Path, port: int, environment: Mapping[str, str], host: str = LOOPBACK
) -> ProcessSpec:
    """`dagster dev`: web server, daemon and code server, with storage below `home`/dagster.

    `dagster dev` ends when its web server or its daemon ends, and restarts its code server itself;
    so restarting it whole is enough.
    """
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(project_root() / "dagster.yaml", dagster_home / "dagster.yaml")
    workspace = project_root() / "workspace.yaml"
    arguments = ["dev", "-w", str(workspace), "-h", host, "-p", str(port)]
    config = os.environ.get("STOCK_PIPELINE_CONFIG")
    return ProcessSpec(
        name="dagster",
        command=[sys.executable, "-m", "dagster", *arguments],
        environment={
            **environment,
            "DAGSTER_HOME": str(dagster_home),
            # It runs elsewhere, so a relative path would lead elsewhere.
            **({"STOCK_PIPELINE_CONFIG": str(Path(config).resolve())} if config else {}),
        },
        # From the project's folder it warns that the dagster.yaml there is not the one it uses.
        working_directory=dagster_home,
        ready=lambda: ui_is_ready(ui_address(host, port)),
        ready_seconds=180.0,
        # It waits for runs to end in order.
        stop_seconds=30.0,
    )


def ui_address(host: str, port: int) -> str:
    """Where this machine reaches the UI; one that listens everywhere is on loopback too."""
    reached = LOOPBACK if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def simulator_process(
    settings: Settings, history_made: Path, environment: Mapping[str, str]
) -> ProcessSpec:
    """The market simulator; with hours of history until the file `history_made` exists."""
    simulator = settings.simulator

    def command() -> Sequence[str]:
        hours = 0.0 if history_made.exists() else simulator.history_hours
        return pipeline_command(
            "simulate", "--feed", simulator.feed, "--history-hours", f"{hours:g}"
        )

    return ProcessSpec(name="simulator", command=command, environment=environment)


def replay_process(environment: Mapping[str, str]) -> ProcessSpec:
    """The replay of real daily index prices, once."""
    return ProcessSpec(
        name="replay",
        command=pipeline_command("replay", "sample", "--feed", DAILY_FEED),
        environment=environment,
        runs_once=True,
    )


def pipeline_command(*arguments: str) -> list[str]:
    """Our own command line in this interpreter, wherever the console script lies."""
    return [sys.executable, "-c", "from stock_pipeline.cli import main; main()", *arguments]
