"""`stock-pipeline dev` as a process of a test, in a home and on ports of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

DEV = "import sys; sys.argv.insert(1, 'dev'); from stock_pipeline.cli import main; main()"

StartDev = Callable[..., subprocess.Popen[str]]


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"it ended without {text!r}: {''.join(seen)}")
