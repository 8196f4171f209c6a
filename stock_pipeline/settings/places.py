"""Where the project and its state lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def project_root() -> Path:
    """Folder that holds `config/` and `workspace.yaml`."""
    return Path(__file__).resolve().parent.parent.parent


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Folder of all local state: `$STOCK_PIPELINE_HOME`, else `.stock_pipeline` in the project.

    Args:
        environment: Where the variable is looked up first; the process's own environment is next.
    """
    name = "STOCK_PIPELINE_HOME"
    named = (environment or {}).get(name) or os.environ.get(name)
    return Path(named or project_root() / ".stock_pipeline")


def shown(file: Path) -> str:
    """The path from the working folder or the project where it lies in one, else as given."""
    for folder in (Path.cwd(), project_root()):
        if file.is_relative_to(folder):
            return str(file.relative_to(folder))
    return str(file)
