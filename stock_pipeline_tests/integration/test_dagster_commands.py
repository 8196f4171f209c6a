"""Plain Dagster works as people expect: its own commands, with the same settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.settings import project_root
from stock_pipeline_tests.support.trades import FEEDS, trade


def typed(*command: str) -> str:
    """What a command of the environment says, which must succeed, in the project's folder."""
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [program, *command[1:]], cwd=project_root(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("dagster definitions validate -w workspace.yaml", "All code locations passed validation"),
        ("dg check defs", "All definitions loaded successfully"),
    ],
)
def test_the_definitions_are_valid(command: str, said: str) -> None:
    assert said in typed(*command.split())


def test_what_is_defined_is_listed() -> None:
    listed = json.JSONDecoder().raw_decode(typed("dg", "list", "defs", "--json"))[0]
    names = {kind: {found["name"] for found in listed[kind]} for kind in ("resources", "sensors")}
    assert {"kafka", "lake", "s3", "catalogue", "athena", "secrets"} <= names["resources"]
    assert {"plan_batches", "catalog_sensor"} <= names["sensors"]


#: A batch has rows and rejects, and no half of it can be asked for.
BOTH = "key:bronze/trades or key:quarantine/trades"


@pytest.mark.parametrize(
    "command",
    [
        ("dagster", "asset", "materialize", "-m", "stock_pipeline.definitions", "--select", BOTH),
        ("dg", "launch", "--assets", BOTH),
    ],
    ids=["dagster asset materialize", "dg launch"],
)
def test_an_asset_is_materialized_on_the_command_line(
    command: tuple[str, ...], settings_for, lake, broker, produce, tmp_path, monkeypatch
) -> None:
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(3)])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    typed(*command)
    (commit,) = OffsetLog(lake, "trades").commits()
    assert commit.decision.rows == 3
