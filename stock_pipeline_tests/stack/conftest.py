"""`stock-pipeline dev` as a process of a test, in a home and on ports of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_pipeline.stack.ports import free_port
from stock_pipeline_tests.support.dev import DEV, StartDev


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("kafka", "aws", "dagster")}


@pytest.fixture
def start_dev(home, ports) -> Iterator[StartDev]:
    started = []

    def start(*options: str, **environment: str) -> subprocess.Popen[str]:
        ours = {f"STOCK_PIPELINE__PORTS__{name.upper()}": str(p) for name, p in ports.items()}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("STOCK_PIPELINE")}
        process = subprocess.Popen(
            [sys.executable, "-c", DEV, *options],
            env=inherited | {"STOCK_PIPELINE_HOME": str(home)} | ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        process.stdout.close()
