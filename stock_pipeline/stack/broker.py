"""The embedded Kafka broker of the local profile: noida-db, with Kafka only.

For development and tests: it keeps everything in memory and saves it every two seconds or so, so
that kill -9 can cost the last acknowledged records.
"""

from __future__ import annotations

import importlib.resources
import shutil
import sys
from pathlib import Path

from stock_pipeline.kafka.clients import admin_options
from stock_pipeline.settings import KafkaSettings
from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import ProcessError, ProcessSpec


def broker_binary() -> Path:
    """The program itself, not the Python wrapper around it, which would survive our SIGTERM.

    Raises:
        ProcessError: The package is not installed.
    """
    try:
        packaged = importlib.resources.files("noida_db") / "noida-db"
    except ModuleNotFoundError:
        packaged = None
    if packaged is not None and packaged.is_file():
        binary = Path(str(packaged))
        if not binary.stat().st_mode & 0o111:
            # Wheels do not always carry the mode over.
            binary.chmod(0o755)
        return binary
    beside = Path(sys.executable).with_name("noida-db")
    found = str(beside) if beside.exists() else shutil.which("noida-db")
    if found is None:
        raise ProcessError(
            "The embedded broker (package noida-db) is not installed in this environment: "
            "run `pip install -c constraints.txt -e '.[local]'`, or `make dev`, which does."
        )
    return Path(found)


def is_ready(bootstrap_servers: str) -> bool:
    """Whether the broker answers a metadata request."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    settings = KafkaSettings(bootstrap_servers=bootstrap_servers, request_timeout_seconds=2)
    try:
        admin = KafkaAdminClient(**admin_options(settings))
    except KafkaError:
        return False
    try:
        admin.list_topics()
    except KafkaError:
        return False
    finally:
        admin.close()
    return True


def broker_process(home: Path, port: int) -> ProcessSpec:
    """The broker on a loopback port, with its state below `home`/broker.

    Raises:
        ProcessError: The package is not installed.
    """
    folder = home / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(broker_binary()), "start", "--data-dir", str(folder), "--host", LOOPBACK]
    return ProcessSpec(
        name="kafka",
        command=[*command, "--only", "kafka", "--kafka-port", str(port)],
        ready=lambda: is_ready(f"{LOOPBACK}:{port}"),
        # Debian 12's loader says this of a weak symbol; the broker runs all the same.
        noise=("weak version `GLIBC",),
    )
