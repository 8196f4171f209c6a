"""`stock-pipeline --version` names the version that pyproject.toml gives."""

import tomllib
from pathlib import Path

from typer.testing import CliRunner

from stock_pipeline.cli import app

PROJECT = Path(__file__).parents[1]


def test_version_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    answer = CliRunner().invoke(app, ["--version"])

    assert answer.exit_code == 0
    assert answer.output == f"stock-pipeline {project['version']}\n"


def test_version_is_shown_before_a_command_is_read() -> None:
    answer = CliRunner().invoke(app, ["--version", "no-such-command"])

    assert answer.exit_code == 0
    assert answer.output.startswith("stock-pipeline ")


def test_without_a_command_the_help_is_shown() -> None:
    answer = CliRunner().invoke(app, [])

    assert "Market data from Kafka to a lake of Parquet, exactly once." in answer.output
    assert "--version" in answer.output
