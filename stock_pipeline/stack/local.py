"""The local stack: broker, AWS emulator, crawler double, and what they must contain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from botocore.exceptions import BotoCoreError, ClientError

from stock_pipeline.settings import AwsSettings, Settings
from stock_pipeline.settings.emulator_keys import EmulatorKeys, ensure_emulator_keys
from stock_pipeline.stack.apache import apache_process
from stock_pipeline.stack.aws import aws_process
from stock_pipeline.stack.broker import broker_process
from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import Child, ProcessError, ProcessSpec
from stock_pipeline.stack.provision import ensure_crawler_role, provision, provision_aws
from stock_pipeline.stack.supervisor import Supervisor

CRAWLER_MODULE = "stock_pipeline.stack.crawler"


def stack_environment(
    kafka_port: int, aws_port: int, home: Path, keys: EmulatorKeys | None = None
) -> dict[str, str]:
    """Environment variables with which the settings of a process point at this stack.

    Args:
        kafka_port: Of the broker.
        aws_port: Of the AWS emulator.
        home: Folder of the stack's state.
        keys: The emulator's; those of the home without, which are made if missing.
    """
    keys = keys or ensure_emulator_keys(home)
    return {
        "STOCK_PIPELINE_HOME": str(home),
        "STOCK_PIPELINE__PORTS__KAFKA": str(kafka_port),
        "STOCK_PIPELINE__PORTS__AWS": str(aws_port),
        "STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{kafka_port}",
        "STOCK_PIPELINE__AWS__ENDPOINT_URL": f"http://{LOOPBACK}:{aws_port}",
        "STOCK_PIPELINE__AWS__ACCESS_KEY_ID": keys.access_key_id,
        "STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY": keys.secret_access_key,
        # Never let a person's own AWS keys, profile or instance role near the emulator.
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class LocalStack:
    """What `stock-pipeline dev` and the tests run on. Also a context manager: everything, stopped.

    The settings say where the parts listen and what the emulator's keys are; nothing is read from
    the environment.
    """

    def __init__(
        self,
        settings: Settings,
        home: Path,
        notify: Callable[[str], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Describe a stack; nothing starts yet.

        Args:
            settings: Where to listen, the emulator's keys, and what to provision.
            home: Folder of all its state and logs.
            notify: Receives one sentence whenever a process ends or is started again.
            cancelled: Asked while something starts; True gives up.
        """
        self.settings = settings
        self.home = home.resolve()
        self.supervisor = Supervisor(self.home / "logs", notify, cancelled)
        self._keys = _keys_of(settings.aws)
        self.environment = {
            **stack_environment(settings.ports.kafka, settings.ports.aws, self.home, self._keys),
            "STOCK_PIPELINE__BROKER": settings.broker,
        }

    @property
    def bootstrap_servers(self) -> str:
        """Address of the broker."""
        return self.environment["STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS"]

    @property
    def endpoint_url(self) -> str:
        """Address of the AWS emulator."""
        return self.environment["STOCK_PIPELINE__AWS__ENDPOINT_URL"]

    def start(self) -> None:
        """Start everything and provision it.

        Raises:
            ProcessError: A part did not come up; what had started has been stopped.
        """
        try:
            self.start_broker()
            self.start_aws()
            self.provision()
            self.start_crawler()
        except BaseException:
            self.stop()
            raise

    def start_broker(self) -> Child:
        """Start the broker that the settings name and wait for it."""
        make = apache_process if self.settings.broker == "apache" else broker_process
        return self.supervisor.start(make(self.home, self.settings.ports.kafka))

    def start_aws(self) -> Child:
        """Start the AWS emulator, wait for it, and make the role that Glue asks for."""
        spec = aws_process(self.home, self.settings.ports.aws, self._keys)
        child = self.supervisor.start(replace(spec, restored=self._restore_aws))
        ensure_crawler_role(self.settings)
        return child

    def start_crawler(self) -> Child:
        """Start the crawler double, which does what Glue's crawlers do; the emulator's do not."""
        command = [sys.executable, "-m", CRAWLER_MODULE]
        return self.supervisor.start(
            ProcessSpec(name="crawler", command=command, environment=self.environment)
        )

    def provision(self) -> None:
        """Make topics, bucket, catalogue and workgroup."""
        provision(self.settings)

    def _restore_aws(self) -> None:
        try:
            ensure_crawler_role(self.settings)
            provision_aws(self.settings)
        except (BotoCoreError, ClientError) as error:
            raise ProcessError(
                "The AWS emulator is back, but catalogue and workgroup could not be made again "
                f"({type(error).__name__}); it is tried again."
            ) from error

    def stop(self) -> None:
        """Stop everything, the last started first."""
        self.supervisor.stop_all()

    def __enter__(self) -> LocalStack:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _keys_of(aws: AwsSettings) -> EmulatorKeys:
    # In the local profile they are never missing.
    if aws.access_key_id is None or aws.secret_access_key is None:
        raise ValueError("The AWS emulator needs keys.")
    return EmulatorKeys(
        aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value()
    )
