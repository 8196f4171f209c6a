"""Apache Kafka of the local profile and of the tests: one KRaft node from Maven's artifacts.

No Docker and no download of a distribution: the machine's Maven resolves the broker's jars once
into a cache folder, where every later start finds them without a network.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from stock_pipeline.stack.apache_jars import ApacheKafkaUnavailableError, resolved_jars
from stock_pipeline.stack.ports import LOOPBACK, free_port
from stock_pipeline.stack.processes import ProcessSpec

__all__ = ["ApacheKafkaUnavailableError", "apache_process", "kafka_classpath"]

LEAST_JAVA = 17
FORMAT_SECONDS = 120.0
CONTROLLER = "CONTROLLER"

#: For a developer's machine: the first compiler alone halves the CPU time of a start, and the rest
#: of a log is in the system's page cache.
HEAP = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
)
LOGGING = ("-Dlog4j2.level=WARN", "-Djava.awt.headless=true")

#: Of a single node: nothing can be replicated, and few internal partitions start faster.
DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": CONTROLLER,
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "5",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "5",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
)


def kafka_classpath() -> str:
    """Class path of the broker; the first call on a machine takes a minute and 45 MB.

    Raises:
        ApacheKafkaUnavailableError: Java or Maven is missing, or the artifacts out of reach.
    """
    java_program()
    return f"{resolved_jars()}/*"


def apache_process(
    home: Path,
    port: int,
    *,
    properties: Mapping[str, str] = MappingProxyType({}),
    cluster_id: str | None = None,
) -> ProcessSpec:
    """One node, broker and controller, on loopback, with its data below `home`/kafka.

    Storage is formatted at the first start. It is ready when it gives clients its own address;
    with `listeners` of the caller's, which may want TLS or a password, when the port takes
    connections.

    Args:
        home: Folder of the local profile.
        port: Where clients connect.
        properties: Added to `server.properties`, or instead of what stands there. `listeners`
            need not name the controller's.
        cluster_id: Of a new storage, where several nodes are one cluster; else made up.

    Raises:
        ApacheKafkaUnavailableError: Java or Maven is missing, or the artifacts out of reach.
    """
    folder = home / "kafka"
    classpath = kafka_classpath()
    java = java_program()
    address = f"{LOOPBACK}:{port}"

    def command() -> Sequence[str]:
        config = write_properties(folder, port, properties)
        if not (folder / "data" / "meta.properties").exists():
            format_storage(java, classpath, config, cluster_id or new_cluster_id())
        return [java, *HEAP, *LOGGING, "-cp", classpath, "kafka.Kafka", str(config)]

    return ProcessSpec(
        name="kafka",
        command=command,
        ready=(lambda: takes_connections(port))
        if "listeners" in properties
        else (lambda: advertises_itself(address)),
        ready_seconds=180.0,
        # It hands its partitions over and writes its checkpoints.
        stop_seconds=30.0,
    )


def java_program() -> str:
    """Path of a Java that runs Apache Kafka 4: of JAVA_HOME, else on the PATH.

    Raises:
        ApacheKafkaUnavailableError: There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    install = f"install Java {LEAST_JAVA} or newer (Debian: apt install openjdk-17-jre-headless)"
    if java is None:
        where = f"below JAVA_HOME ({home})" if home else "on the PATH"
        raise ApacheKafkaUnavailableError(
            f"Apache Kafka needs Java and there is none {where}: {install}."
        )
    # macOS has a /usr/bin/java that only says that there is no Java.
    said = subprocess.run(  # noqa: S603
        [java, "-version"], capture_output=True, text=True, timeout=60, check=False
    )
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if version is None or int(version[1]) < LEAST_JAVA:
        found = f"is version {version[1]}" if version else "does not run"
        raise ApacheKafkaUnavailableError(
            f"Apache Kafka needs Java {LEAST_JAVA} and {java} {found}: {install}."
        )
    return java


def write_properties(folder: Path, port: int, properties: Mapping[str, str]) -> Path:
    """Write `server.properties` below `folder`; returns its path.

    The controller, which only this node talks to, gets another free port at every start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    controller_port = free_port()
    merged = {
        **DEFAULTS,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "log.dirs": str(folder / "data"),
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        **properties,
    }
    if f"{CONTROLLER}://" not in merged["listeners"]:
        merged["listeners"] += f",{CONTROLLER}://{LOOPBACK}:{controller_port}"
    path = folder / "server.properties"
    # It may hold passwords of key stores.
    path.touch(mode=0o600)
    lines = [f"{name}={_escaped(value)}\n" for name, value in merged.items()]
    path.write_text("".join(lines), encoding="latin-1", errors="backslashreplace")
    return path


def format_storage(java: str, classpath: str, config: Path, cluster_id: str) -> None:
    """Prepare new data folders, as KRaft wants it.

    Raises:
        ApacheKafkaUnavailableError: The broker's own tool refused, for example a property.
    """
    tool = [java, *HEAP, *LOGGING, "-cp", classpath, "kafka.tools.StorageTool", "format"]
    done = subprocess.run(  # noqa: S603
        [*tool, f"--cluster-id={cluster_id}", f"--config={config}", "--ignore-formatted"],
        capture_output=True,
        text=True,
        timeout=FORMAT_SECONDS,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ApacheKafkaUnavailableError(
            f"Apache Kafka could not format its storage with {config}: {' '.join(last)}"
        )


def new_cluster_id() -> str:
    """A cluster id as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")


def advertises_itself(address: str) -> bool:
    """Whether a broker answers there and is part of its cluster, so that topics can be made."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    if not takes_connections(int(address.rpartition(":")[2])):
        return False
    try:
        metadata = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(
            timeout=5
        )
    except KafkaException:
        return False
    return bool(metadata.brokers)


def takes_connections(port: int) -> bool:
    """Whether something listens on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), 2).close()
    except OSError:
        return False
    return True


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
