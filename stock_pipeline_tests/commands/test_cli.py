"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from stock_pipeline.cli import COMMANDS, app, load_command
from stock_pipeline.settings import project_root


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listing_says_of_a_command_what_its_own_help_says(name: str) -> None:
    first = " ".join((load_command(name).help or "").split("\n\n")[0].split())
    assert COMMANDS[name][1] == first


def test_help_imports_no_command_and_nothing_heavy() -> None:
    script = (
        "import sys\nfrom stock_pipeline.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'dagster', 'botocore', 'pandas', 'pyarrow', 'duckdb', 'kafka', 'pydantic'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout


def test_an_unknown_command_is_refused_with_the_near_one() -> None:
    result = CliRunner().invoke(app, ["statsu"])
    assert result.exit_code == 2
    assert "status" in result.output


def test_version_is_that_of_pyproject_and_the_changelog_has_it() -> None:
    project = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))
    version = project["project"]["version"]
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"stock-pipeline {version}\n"
    assert f"\n## {version} - " in (project_root() / "CHANGELOG.md").read_text(encoding="utf-8")


def test_version_is_shown_before_a_command_is_looked_for() -> None:
    result = CliRunner().invoke(app, ["--version", "no-such-command"])
    assert result.exit_code == 0
    assert result.output.startswith("stock-pipeline ")
