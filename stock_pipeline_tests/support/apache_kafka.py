"""Apache Kafka for tests: one broker or a cluster, as the launcher of the local profile makes them.

`require_apache()` skips a test in one line where Java, Maven or the artifacts are missing; with
STOCK_PIPELINE_REQUIRE_APACHE=1, as CI has it, that is a failure.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.stack.apache import (
    ApacheKafkaUnavailableError,
    apache_process,
    kafka_classpath,
    new_cluster_id,
)
from stock_pipeline.stack.ports import LOOPBACK, free_port
from stock_pipeline.stack.processes import Child
from stock_pipeline_tests.support.waiting import until

NOT_ON_APACHE = "did not run on Apache Kafka"

#: Retention, transactions and elections are looked after every half second, not every five minutes.
EAGER = {
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.cleaner.backoff.ms": "200",
    "log.segment.delete.delay.ms": "500",
    "unclean.leader.election.interval.ms": "500",
    # A broker that is not killed on purpose must not lose its partitions to a slow disk.
    "broker.session.timeout.ms": "30000",
    "broker.heartbeat.interval.ms": "500",
}
#: For one that is killed: how long until the others, or it itself when it is back, may go on.
QUICK_TO_FENCE = {"broker.session.timeout.ms": "5000"}


def require_apache() -> None:
    """Skip, or fail where it is required, unless Apache Kafka can run here."""
    try:
        kafka_classpath()
    except ApacheKafkaUnavailableError as error:
        reason = str(error)
    else:
        return
    if os.environ.get("STOCK_PIPELINE_REQUIRE_APACHE") == "1":
        pytest.fail(f"Required, but did not run: {reason}", pytrace=False)
    pytest.skip(f"{NOT_ON_APACHE}: {reason}")


class Node:
    """One broker of a test's own: stop, kill, freeze and start it again on the same data."""

    def __init__(self, home: Path, port: int, **options: object) -> None:
        self.port = port
        self.home = home
        self.child = Child(apache_process(home, port, **options), home / "kafka.log")  # type: ignore[arg-type]

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start(self, wait: bool = True) -> None:
        self.child.start()
        if wait:
            self.child.wait_until_ready()

    def stop(self) -> None:
        self.child.stop()

    def kill(self) -> None:
        """As the system does when memory runs out: nothing is flushed, nobody is told."""
        if self.child.is_alive:
            self.signal(signal.SIGKILL)
        self.child.stop()

    def signal(self, number: signal.Signals) -> None:
        assert self.child.pid is not None
        os.kill(self.child.pid, number)


class Cluster:
    """Three nodes, each broker and controller; replication factor 3 unless a topic says else."""

    def __init__(self, home: Path, properties: Mapping[str, str] | None = None) -> None:
        numbers = (1, 2, 3)
        ports = {number: free_port() for number in numbers}
        controllers = {number: free_port() for number in numbers}
        voters = ",".join(f"{n}@{LOOPBACK}:{controllers[n]}" for n in numbers)
        cluster_id = new_cluster_id()
        self.nodes = {
            number: Node(
                home / f"node-{number}",
                ports[number],
                cluster_id=cluster_id,
                properties={
                    **EAGER,
                    **QUICK_TO_FENCE,
                    "node.id": str(number),
                    "controller.quorum.voters": voters,
                    "listeners": f"PLAINTEXT://{LOOPBACK}:{ports[number]},"
                    f"CONTROLLER://{LOOPBACK}:{controllers[number]}",
                    "controller.quorum.election.timeout.ms": "500",
                    "controller.quorum.fetch.timeout.ms": "3000",
                    "replica.lag.time.max.ms": "3000",
                    "default.replication.factor": "3",
                    "offsets.topic.replication.factor": "3",
                    "transaction.state.log.replication.factor": "3",
                    **(properties or {}),
                },
            )
            for number in numbers
        }

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes.values())

    def start(self) -> None:
        for node in self.nodes.values():
            node.start(wait=False)
        until(lambda: len(self.brokers()) == len(self.nodes), "all brokers are in the cluster")

    def stop(self) -> None:
        for node in self.nodes.values():
            node.kill()

    def brokers(self) -> set[int]:
        """Brokers that the cluster believes to be alive."""
        return self._metadata(lambda metadata: set(metadata.brokers)) or set()

    def leader(self, topic: str, partition: int = 0) -> int | None:
        """The partition's leader, None while it has none."""
        leader: int | None = self._metadata(
            lambda metadata: metadata.topics[topic].partitions[partition].leader
        )
        return None if leader is None or leader < 0 else leader

    def in_sync(self, topic: str, partition: int = 0) -> set[int]:
        """The partition's replicas that are in sync."""
        isrs = self._metadata(lambda metadata: metadata.topics[topic].partitions[partition].isrs)
        return set(isrs or ())

    def _metadata(self, ask: Callable[[Any], Any]) -> Any:
        """What is asked of the cluster's metadata, None while nobody answers."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        options = {"bootstrap.servers": self.bootstrap_servers, "log_level": 0}
        try:
            return ask(AdminClient(options).list_topics(timeout=5))
        except (KafkaException, KeyError):
            return None


def alter_topic(bootstrap_servers: str, topic: str, configs: Mapping[str, str]) -> None:
    """Change these settings of a topic and no others."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import (
        AdminClient,
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    passing = {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
    }
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in configs.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)

    def altered() -> bool:
        # A client of its own each time: one that was told a broker that has just died asks it for
        # as long as it lives.
        admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        (future,) = admin.incremental_alter_configs([resource], request_timeout=10).values()
        try:
            future.result(60)
        except KafkaException as error:
            if error.args[0].code() not in passing:
                raise
            return False
        return True

    def told() -> bool:
        admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        asked = ConfigResource(ResourceType.TOPIC, topic)
        (future,) = admin.describe_configs([asked], request_timeout=10).values()
        try:
            found = future.result(60)
        except KafkaException as error:
            if error.args[0].code() not in passing:
                raise
            return False
        return all(found[name].value == value for name, value in configs.items())

    until(altered, f"{topic} has its settings")
    # The controller has answered; the broker that leads learns of them after it.
    until(told, f"the brokers know the settings of {topic}")
