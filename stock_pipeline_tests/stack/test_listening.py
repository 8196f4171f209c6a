"""Nothing listens elsewhere than on loopback unless told to, and then a warning says so."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from stock_pipeline.stack.children import dagster_process, is_loopback, ui_address
from stock_pipeline_tests.support.dev import DEV

LISTENING = "0A"
#: 127.0.0.0/8 and ::1, as /proc/net writes them.
LOOPBACK_ENDS = ("7F", "00000000000000000000000001000000")


def listening_addresses(pids: set[int]) -> list[str]:
    """Local addresses, in hexadecimal, on which these processes listen."""
    inodes = set()
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # Closed meanwhile.
                inodes.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTENING and columns[9] in inodes:
                found.append(columns[1].split(":")[0])
    return found


def family(pid: int) -> set[int]:
    """A process and what it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {pid}.union(*(family(int(child)) for child in children))


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_broker_and_emulator_listen_on_loopback_only(stack):
    pids = [stack.supervisor.child(name).pid for name in ("kafka", "aws")]
    found = listening_addresses(set().union(*(family(pid) for pid in pids)))
    assert len(found) >= 2
    assert [a for a in found if not a.endswith(LOOPBACK_ENDS)] == []


def test_dagster_listens_on_loopback_by_default(tmp_path):
    spec = dagster_process(tmp_path, 3000, {})
    assert spec.command[spec.command.index("-h") + 1] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "alone", "address"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:3000"),
        ("localhost", True, "http://localhost:3000"),
        ("::1", True, "http://[::1]:3000"),
        ("0.0.0.0", False, "http://127.0.0.1:3000"),
        ("192.0.2.7", False, "http://192.0.2.7:3000"),
        ("ui.example", False, "http://ui.example:3000"),
    ],
)
def test_only_loopback_addresses_are_taken_for_loopback(host, alone, address):
    assert is_loopback(host) == alone
    assert ui_address(host, 3000) == address


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_an_ui_that_others_can_reach_is_warned_of(tmp_path, host, warned):
    # A profile in which `dev` starts nothing; the keys are asked for by profile compose only.
    environment = {
        "STOCK_PIPELINE_HOME": str(tmp_path),
        "STOCK_PIPELINE__PROFILE": "aws",
        "STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "-c", DEV, "--host", host],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert (f"Dagster's UI listens on {host} and has no login" in done.stdout) == warned
