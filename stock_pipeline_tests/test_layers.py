"""The shape of the package: layers that are held, folders that are read at a glance."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_pipeline.settings import project_root

PACKAGE = project_root() / "stock_pipeline"

#: Each would turn an arrow round, close a circle or let something pure reach outside.
VIOLATIONS = {
    "lib/intervals.py": "from stock_pipeline.lake.store import Lake",
    "kafka/offsets.py": "from stock_pipeline.ingest.documents import Plan",
    "ingest/log_state.py": "import botocore",
    "tables/due.py": "from stock_pipeline.tables.publish import TableBuilder",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports`, as `make lint` runs it, on the package in this folder."""
    program = Path(sys.executable).with_name("lint-imports")
    command = [program, "--no-cache", "--config", project_root() / "pyproject.toml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("module", VIOLATIONS)
def test_an_import_that_breaks_the_layers_is_refused(module: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / PACKAGE.name / module
    file.write_text(f"{file.read_text()}\n\n{VIOLATIONS[module]}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert module.removesuffix(".py").replace("/", ".") in done.stdout


def test_no_folder_holds_more_than_twenty_files() -> None:
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    sizes = {str(f.relative_to(PACKAGE)): len(list(f.glob("*.py"))) for f in folders}
    assert {name: size for name, size in sizes.items() if size > 20} == {}


def hidden_imports() -> Iterator[str]:
    """Imports of our own modules inside functions, as file:line."""
    for file in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                        PACKAGE.name
                    ):
                        yield f"{file.relative_to(PACKAGE)}:{node.lineno}"


def test_our_own_modules_are_imported_at_the_top() -> None:
    # What starts slowly may wait until it is used; more than a few would hide the arrows.
    assert len(set(hidden_imports())) <= 10
