"""The jars of Apache Kafka, resolved once by the machine's Maven into a cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from stock_pipeline.stack.processes import ProcessError

#: 4.4.0 is newer, but its kafka-tools-api is missing on Maven Central.
KAFKA_VERSION = "4.3.1"
#: Of the slf4j 1.7 and log4j that this broker uses.
LOG4J_VERSION = "2.25.4"
#: Over names and contents of all jars: what we start is what we have tested.
JARS_SHA256 = "6953bfc4d23c24004ed3d44b741c7a4538a923f476f85ff7cf086e87ead4b49c"

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
RESOLVE_SECONDS = 900.0

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>stock-pipeline</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class ApacheKafkaUnavailableError(ProcessError):
    """Apache Kafka cannot run on this machine; one sentence says what is missing."""


def cache_folder() -> Path:
    """Folder of the jars, shared by all projects of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stock_pipeline" / f"kafka-{KAFKA_VERSION}"


def resolved_jars() -> Path:
    """Folder that holds the broker's jars, and nothing else; fetched where it is missing.

    Raises:
        ApacheKafkaUnavailableError: Maven is missing, or the artifacts are out of reach.
    """
    folder = cache_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several test processes may want it at once; the system releases the lock however we end.
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ApacheKafkaUnavailableError(
            f"Apache Kafka {KAFKA_VERSION} is not in {folder} yet and Maven, which would fetch "
            "it, is not on the PATH: install it (Debian: apt install maven)."
        )
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        pom, jars = Path(work) / "pom.xml", Path(work) / "jars"
        pom.write_text(POM, encoding="utf-8")
        # Batch mode, quiet, and a wrong checksum is an error, not a warning.
        command = [maven, "-B", "-q", "-C", "-f", str(pom), COPY, f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=RESOLVE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ApacheKafkaUnavailableError(
                f"Maven did not fetch Apache Kafka {KAFKA_VERSION} in {RESOLVE_SECONDS:.0f} s: "
                "check the network and run it again."
            ) from None
        if done.returncode:
            raise ApacheKafkaUnavailableError(
                f"Maven could not fetch Apache Kafka {KAFKA_VERSION}: {_reason(done.stdout)}"
            )
        found = digest(jars)
        if found != JARS_SHA256:
            raise ApacheKafkaUnavailableError(
                f"The jars of Apache Kafka {KAFKA_VERSION} that Maven fetched are not those that "
                f"were tested (SHA-256 {found}, expected {JARS_SHA256}): nothing was kept."
            )
        jars.rename(folder)


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files of a folder."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _reason(output: str) -> str:
    """The first error that Maven told, which names the artifact and the repository."""
    errors = [line for line in output.splitlines() if "[ERROR]" in line]
    return errors[0].partition("[ERROR]")[2].strip()[:300] if errors else "it gave no reason."
