"""The launcher of Apache Kafka: what it says where it cannot run, what it writes where it can."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from stock_pipeline.doctor.kafka import kafka_findings
from stock_pipeline.settings import KafkaSettings, load_settings
from stock_pipeline.stack import apache, apache_jars
from stock_pipeline.stack.apache import ApacheKafkaUnavailableError, kafka_classpath
from stock_pipeline.stack.chosen_broker import home_of, trimmer_of
from stock_pipeline.stack.ports import free_port


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH; the cache is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_without_java_one_sentence_says_what_to_install(programs):
    with pytest.raises(
        ApacheKafkaUnavailableError, match="there is none on the PATH: install Java"
    ):
        kafka_classpath()


def test_a_java_that_is_too_old_is_named_with_its_version(programs):
    program(programs / "java", "echo 'openjdk version \"11.0.2\"' >&2")
    with pytest.raises(ApacheKafkaUnavailableError, match=r"needs Java 17 .*java is version 11"):
        kafka_classpath()


def test_a_java_that_only_says_that_there_is_none_is_no_java(programs):
    program(programs / "java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    with pytest.raises(ApacheKafkaUnavailableError, match="does not run"):
        kafka_classpath()


def test_without_maven_and_cache_one_sentence_says_what_to_install(programs):
    program(programs / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    with pytest.raises(ApacheKafkaUnavailableError, match="Maven, which would fetch it, is not on"):
        kafka_classpath()


def test_artifacts_out_of_reach_are_one_sentence_and_leave_nothing(programs, tmp_path):
    program(programs / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    program(programs / "mvn", "echo '[ERROR] Could not transfer artifact x: unknown host'; exit 1")
    with pytest.raises(ApacheKafkaUnavailableError, match="Could not transfer artifact x") as error:
        kafka_classpath()
    assert "\n" not in str(error.value)
    assert not apache_jars.cache_folder().exists()


def test_jars_that_are_not_those_that_were_tested_are_not_kept(programs):
    program(programs / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    # The output folder is the last argument.
    program(
        programs / "mvn",
        'for last; do :; done; d="${last#*=}"; /bin/mkdir -p "$d"; echo evil > "$d/kafka.jar"',
    )
    with pytest.raises(ApacheKafkaUnavailableError, match="are not those that were tested"):
        kafka_classpath()
    assert not apache_jars.cache_folder().exists()


def test_properties_of_the_caller_win_and_others_cannot_read_them(tmp_path):
    port = free_port()
    secret = {"ssl.keystore.password": "back\\slash", "listeners": f"SSL://127.0.0.1:{port}"}
    path = apache.write_properties(tmp_path / "kafka", port, secret | {"node.id": "7"})
    lines = path.read_text(encoding="latin-1").splitlines()
    assert "node.id=7" in lines
    assert "ssl.keystore.password=back\\\\slash" in lines
    (listeners,) = [line for line in lines if line.startswith("listeners=")]
    assert listeners.startswith(f"listeners=SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_broker_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("STOCK_PIPELINE__BROKER", "embedded")
    settings = load_settings()
    assert home_of(settings) == tmp_path
    assert home_of(settings.model_copy(update={"broker": "apache"})) == tmp_path / "apache"


def test_nothing_trims_the_topics_of_apache_kafka():
    settings = load_settings(environment={})
    assert trimmer_of(settings.model_copy(update={"broker": "embedded"}))
    assert trimmer_of(settings.model_copy(update={"broker": "apache"})) is None


@pytest.mark.apache
def test_doctor_says_that_it_is_apache_kafka(apache_broker, settings_for):
    settings = settings_for().model_copy(
        update={"kafka": KafkaSettings(bootstrap_servers=apache_broker)}
    )
    findings = {finding.name: finding for finding in kafka_findings(settings)}
    major_minor = apache_jars.KAFKA_VERSION.rpartition(".")[0]
    assert f"Apache Kafka {major_minor} (KRaft), cluster " in findings["kafka broker"].answer
    assert findings["kafka listeners"].answer == f"advertised: {apache_broker}"
