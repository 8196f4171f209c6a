"""The AWS emulator of the local profile: MiniStack, on loopback, with its state on disk."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import ProcessSpec

#: MiniStack knows no users unless told to; any pair is accepted.
ACCESS_KEY_ID = "local"
SECRET_ACCESS_KEY = "local"  # noqa: S105


def is_ready(endpoint_url: str) -> bool:
    """Whether the emulator has finished its start-up."""
    try:
        with urllib.request.urlopen(f"{endpoint_url}/_ministack/ready", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def aws_process(home: Path, port: int, *, enforce: bool = False) -> ProcessSpec:
    """MiniStack on a loopback port, with its state below `home`/aws.

    S3 objects are on disk at once; Glue and the bucket's policies are saved on SIGTERM only,
    Athena's workgroups not always: provisioning makes them again at every start and restart.

    Args:
        home: Folder of the local state.
        port: Where to listen.
        enforce: Whether IAM policies are enforced for other keys than our own.
    """
    folder = home / "aws"
    for part in ("state", "s3", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return ProcessSpec(
        name="aws",
        command=[sys.executable, "-m", "ministack"],
        environment={
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            # Unless told otherwise it listens for MQTT and SFTP too.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "TMPDIR": str(folder / "tmp"),
            "LOG_LEVEL": "WARNING",
            "AUTH": str(enforce).lower(),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        },
        working_directory=folder,
        ready=lambda: is_ready(f"http://{LOOPBACK}:{port}"),
    )
