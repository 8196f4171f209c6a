"""Fixtures of the local stack: real processes on ports and in a folder of their own.

`broker` and `ministack_endpoint` start only what they name, once a session; `stack` is both and the
crawler double. Every test gets a bucket, a Glue database, a workgroup and topics of its own:

    def test_something(settings_for, lake, produce):
        settings = settings_for({"trades": {"format": "trade", "partitions": 2}})
        produce(settings.feeds["trades"].topic, [b"{}"])

`broker` is the embedded broker, or Apache Kafka with STOCK_PIPELINE_TEST_BROKER=apache.
`apache_broker` always is Apache Kafka.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import KafkaSettings, Settings, get_settings, load_settings
from stock_pipeline.stack.local import LocalStack, stack_environment
from stock_pipeline.stack.ports import free_port
from stock_pipeline.stack.provision import ensure_bucket, ensure_topics
from stock_pipeline_tests.support import figures
from stock_pipeline_tests.support.apache_kafka import EAGER, NOT_ON_APACHE, Node, require_apache
from stock_pipeline_tests.support.location import forget_location
from stock_pipeline_tests.support.stack import TEST_BROKER, Produce, SettingsFor
from stock_pipeline_tests.support.tiers import COLLECTED, KINDS, Together, kinds_of, tiers_of

# Everywhere the examples that CI takes, the same in each run. What nobody has tried is for
# `make fuzz` and `pytest --hypothesis-profile=default`.
hypothesis.settings.load_profile("ci")


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Mark each test with what it needs, and with the tiers that run it."""
    collected = config.stash.setdefault(COLLECTED, {})
    for item in items:
        kinds = kinds_of(item)
        tiers = tiers_of(kinds)
        for marker in (kinds & KINDS) | tiers:
            item.add_marker(marker)
        collected.setdefault(item.name.partition("[")[0], set()).update(tiers)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together | None:
    """With `--dist=loadscope`, tests stay together where they share something heavy."""
    return Together(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker sends its figures."""
    figures.send(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The session takes them."""
    figures.receive(node.config, getattr(node, "workeroutput", None) or {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of all workers. Tests that could not run on Apache Kafka are one line."""
    for line in figures.lines_of(terminalreporter.config):
        terminalreporter.write_line(line)
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple) and NOT_ON_APACHE in report.longrepr[2]:
            report.longrepr = (
                "stock_pipeline_tests/support/apache_kafka.py",
                None,
                report.longrepr[2],
            )


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of which nothing runs yet; the environment points at it."""
    home = tmp_path_factory.mktemp("home")
    environment = stack_environment(free_port(), free_port(), home)
    environment["STOCK_PIPELINE__BROKER"] = TEST_BROKER
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        local = LocalStack(load_settings(), home)
        yield local
        local.stop()
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def broker(local_stack: LocalStack) -> str:
    """A running broker; its bootstrap servers."""
    if TEST_BROKER == "apache":
        require_apache()
    local_stack.start_broker()
    return local_stack.bootstrap_servers


@pytest.fixture(scope="session")
def apache_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Apache Kafka, which looks after retention every half second; its servers."""
    require_apache()
    node = Node(tmp_path_factory.mktemp("apache"), free_port(), properties=EAGER)
    node.start()
    yield node.address
    node.stop()


@pytest.fixture(scope="session")
def ministack_endpoint(local_stack: LocalStack) -> str:
    """A running AWS emulator; its endpoint URL."""
    local_stack.start_aws()
    return local_stack.endpoint_url


@pytest.fixture(scope="session")
def stack(local_stack: LocalStack, broker: str, ministack_endpoint: str) -> LocalStack:
    """Broker, AWS emulator and crawler double, running."""
    local_stack.start_crawler()
    return local_stack


@pytest.fixture
def settings_for(
    local_stack: LocalStack,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SettingsFor]:
    """Make the settings of this test; `get_settings()` here and in child processes sees them.

    `settings_for(feeds, **sections)`: `feeds` as in app_config.yaml, the topic made unique when
    left out (default: one feed `trades`); `sections` replaces keys of other sections. The bucket
    exists when the test uses the AWS emulator (`lake`, `ministack_endpoint`, `stack`), the topics
    when it uses the broker (`broker`, `stack`, `produce`, `make_topic`).
    """
    unique = uuid.uuid4().hex[:10]

    def make(feeds: Mapping[str, Mapping[str, Any]] | None = None, **sections: Any) -> Settings:
        feeds = feeds or {"trades": {"format": "trade", "source": "trades", "calendar": "24/7"}}
        data: dict[str, Any] = {
            "feeds": {
                name: {"topic": f"{name}-{unique}", "source": name, **feed}
                for name, feed in feeds.items()
            },
            "aws": {"bucket": f"lake-{unique}"},
            "catalog": {"database": f"db_{unique}"},
            "athena": {"workgroup": f"wg_{unique}"},
            "simulator": {"enabled": False},
        }
        for name, section in sections.items():
            data[name] = data.get(name, {}) | section if isinstance(section, dict) else section
        config = tmp_path / "app_config.yaml"
        config.write_text(yaml.safe_dump(data), encoding="utf-8")
        monkeypatch.setenv("STOCK_PIPELINE_CONFIG", str(config))
        get_settings.cache_clear()
        settings = get_settings()
        if "ministack_endpoint" in request.fixturenames:
            request.getfixturevalue("ministack_endpoint")
            ensure_bucket(settings.aws)
        if "broker" in request.fixturenames:
            request.getfixturevalue("broker")
            topics = {
                feed.topic: (feed.partitions, feed.retention_minutes)
                for feed in settings.feeds.values()
            }
            patient = settings.kafka.model_copy(update={"request_timeout_seconds": 60.0})
            ensure_topics(patient, topics)
        return settings

    yield make
    get_settings.cache_clear()
    forget_location()


@pytest.fixture
def lake(ministack_endpoint: str, settings_for: SettingsFor) -> Lake:
    """A lake with a new bucket. Tests that call `settings_for` share the bucket's name with it."""
    # A feed of another name than any test's: its topic must not exist before the test makes it.
    return Lake(settings_for({"unused": {"format": "trade"}}).aws)


@pytest.fixture
def make_topic(broker: str) -> Callable[..., str]:
    """`make_topic(partitions=1)`: create a topic with a new name and return the name."""

    def make(partitions: int = 1, retention_minutes: int = 60) -> str:
        topic = f"topic-{uuid.uuid4().hex[:10]}"
        kafka = KafkaSettings(bootstrap_servers=broker)
        ensure_topics(kafka, {topic: (partitions, retention_minutes)})
        return topic

    return make


@pytest.fixture
def produce(broker: str) -> Iterator[Produce]:
    """`produce(topic, [payload, ...], partition=0, timestamp_ms=None)`: sent when it returns."""
    from kafka import KafkaProducer

    # Not idempotent: tests recreate topics, which an idempotent producer takes for lost records.
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=5, enable_idempotence=False)

    def send(
        topic: str,
        payloads: Sequence[bytes | None],
        partition: int = 0,
        timestamp_ms: int | None = None,
    ) -> None:
        sent = [
            producer.send(
                topic, key=b"key", value=payload, partition=partition, timestamp_ms=timestamp_ms
            )
            for payload in payloads
        ]
        producer.flush()
        for future in sent:
            future.get(10)

    yield send
    producer.close()
