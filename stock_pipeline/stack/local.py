"""The local stack: broker, AWS emulator, crawler double, and what they must contain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from botocore.exceptions import BotoCoreError, ClientError

from stock_pipeline.settings import Settings
from stock_pipeline.stack import aws
from stock_pipeline.stack.apache import apache_process
from stock_pipeline.stack.aws import aws_process
from stock_pipeline.stack.broker import broker_process
from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import Child, ProcessError, ProcessSpec
from stock_pipeline.stack.provision import provision, provision_aws
from stock_pipeline.stack.supervisor import Supervisor

CRAWLER_MODULE = "stock_pipeline.stack.crawler"


def stack_environment(kafka_port: int, aws_port: int, home: Path) -> dict[str, str]:
    """Environment variables with which the settings of a process point at this stack."""
    return {
        "STOCK_PIPELINE_HOME": str(home),
        "STOCK_PIPELINE__PORTS__KAFKA": str(kafka_port),
        "STOCK_PIPELINE__PORTS__AWS": str(aws_port),
        "STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{kafka_port}",
        "STOCK_PIPELINE__AWS__ENDPOINT_URL": f"http://{LOOPBACK}:{aws_port}",
        "STOCK_PIPELINE__AWS__ACCESS_KEY_ID": aws.ACCESS_KEY_ID,
        "STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY": aws.SECRET_ACCESS_KEY,
        # Never let a person's own AWS keys, profile or instance role near the emulator.
        "AWS_ACCESS_KEY_ID": aws.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": aws.SECRET_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class LocalStack:
    """What `stock-pipeline dev` and the tests run on. Also a context manager: everything, stopped.

    The settings' ports say where the parts listen; nothing is read from the environment.
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
            settings: Where to listen and what to provision.
            home: Folder of all its state and logs.
            notify: Receives one sentence whenever a process ends or is started again.
            cancelled: Asked while something starts; True gives up.
        """
        self.settings = settings
        self.home = home.resolve()
        self.supervisor = Supervisor(self.home / "logs", notify, cancelled)
        self.environment = {
            **stack_environment(settings.ports.kafka, settings.ports.aws, self.home),
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
        """Start the AWS emulator and wait for it."""
        spec = aws_process(self.home, self.settings.ports.aws)
        return self.supervisor.start(replace(spec, restored=self._restore_aws))

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
