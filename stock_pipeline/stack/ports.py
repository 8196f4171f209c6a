"""Loopback ports: which are free, and who holds one that is not."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from stock_pipeline.errors import UserError

LOOPBACK = "127.0.0.1"

#: Locks of the ports that this process was given: a port is bound later, and until then the system
#: may name it again, here or in another process. They end with the process.
_GIVEN: list[TextIO] = []


class PortInUseError(UserError):
    """Someone else listens where a part of the stack has to."""


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that is free now; no other call gives it while this process runs.

    Nor does one of another process of this user: test workers start their servers side by side.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if _reserve(port):
            return port


def _reserve(port: int) -> bool:
    """Lock a port's file; False when somebody else has."""
    folder = Path(tempfile.gettempdir()) / f"stock_pipeline_ports_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _GIVEN.append(lock)
    return True


def await_ports(ports: Mapping[str, int], patience_seconds: float) -> None:
    """Check that every port is free, before anything starts.

    Args:
        ports: Port of each part of the stack.
        patience_seconds: How long to wait for one that is not.

    Raises:
        PortInUseError: A port is in use, or two parts have the same one.
    """
    if len(set(ports.values())) < len(ports):
        raise PortInUseError(f"Two parts have the same port: {dict(ports)}; nothing was started.")
    deadline = time.monotonic() + patience_seconds
    for name, port in ports.items():
        while not is_free(port):
            if time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            owner = owner_of(port) or "another process"
            raise PortInUseError(
                f"Port {port} ({name}) is in use by {owner}; nothing was started. Stop it, or "
                f"choose another port: STOCK_PIPELINE__PORTS__{name.upper()}={port + 1} make dev"
            )


def owner_of(port: int) -> str | None:
    """Who listens on a port, as `name (pid 123)`; None where the system does not tell (macOS)."""
    inode = _listening_inode(port)
    if inode is None:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(link.readlink() == Path(f"socket:[{inode}]") for link in process.glob("fd/*")):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                return f"{command[:100]} (pid {process.name})"
        except OSError:
            continue  # Ended meanwhile, or another user's.
    return None


def _listening_inode(port: int) -> str | None:
    listening = "0A"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == listening and int(columns[1].rsplit(":", 1)[1], 16) == port:
                return columns[9]
    return None
