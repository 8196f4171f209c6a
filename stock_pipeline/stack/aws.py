"""The AWS emulator of the local profile: MiniStack, on loopback, with its state on disk."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

from stock_pipeline.settings.emulator_keys import EmulatorKeys
from stock_pipeline.stack.emulator import READY_PATH, SERVICES
from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import ProcessSpec

EMULATOR_MODULE = "stock_pipeline.stack.emulator"


def is_ready(endpoint_url: str) -> bool:
    """Whether the emulator has finished its start-up."""
    try:
        with urllib.request.urlopen(f"{endpoint_url}{READY_PATH}", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def aws_process(home: Path, port: int, keys: EmulatorKeys) -> ProcessSpec:
    """MiniStack on a loopback port, with its state below `home`/aws.

    S3 objects are on disk at once; Glue and the bucket's policies are saved on SIGTERM only,
    Athena's workgroups not always: provisioning makes them again at every start and restart.

    Every request has to be signed: these keys may do everything, users and roles that were made
    with them what their IAM policies allow.

    Args:
        home: Folder of the local state.
        port: Where to listen.
        keys: Of whoever may do everything.
    """
    folder = home / "aws"
    for part in ("state", "s3", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return ProcessSpec(
        name="aws",
        command=[sys.executable, "-m", EMULATOR_MODULE],
        environment={
            "GATEWAY_PORT": str(port),
            "SERVICES": ",".join(SERVICES),
            # Unless told otherwise it listens for MQTT and SFTP too.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "TMPDIR": str(folder / "tmp"),
            "LOG_LEVEL": "WARNING",
            "AUTH": "true",
            # In the environment, since a command line can be read by every user of the machine.
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            # A person's own token would be asked for with each request.
            "AWS_SESSION_TOKEN": "",
        },
        working_directory=folder,
        ready=lambda: is_ready(f"http://{LOOPBACK}:{port}"),
    )
