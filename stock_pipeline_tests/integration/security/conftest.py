"""One Apache Kafka with all kinds of listeners, for all tests of this folder."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.settings import Settings
from stock_pipeline.stack.provision import ensure_topics
from stock_pipeline_tests.integration.security.secure_broker import SecureBroker
from stock_pipeline_tests.support.apache_kafka import require_apache
from stock_pipeline_tests.support.secured import Configure

FEEDS = {
    name: {"format": "trade", "source": name, "calendar": "24/7"} for name in ("trades", "others")
}


@pytest.fixture(scope="session")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    require_apache()
    broker = SecureBroker(tmp_path_factory.mktemp("secure"))
    yield broker
    broker.stop()


@pytest.fixture
def configure(
    secure_broker: SecureBroker,
    settings_for: Callable[..., Settings],
    lake: object,
    monkeypatch: pytest.MonkeyPatch,
) -> Configure:
    """`configure("SASL", mechanism=...)`: settings of one listener, here and in child processes.

    Two feeds, whose topics exist; secrets come from the environment. Call it again to change them.
    """
    unique = uuid.uuid4().hex[:10]
    feeds = {name: feed | {"topic": f"{name}-{unique}"} for name, feed in FEEDS.items()}
    topics = {str(feed["topic"]): (1, 60) for feed in feeds.values()}
    ensure_topics(secure_broker.settings("OPEN"), topics)

    def make(listener: str, timeout: float = 10.0, **security: Any) -> Settings:
        made = secure_broker.settings(listener, timeout, **security)
        monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", made.bootstrap_servers)
        monkeypatch.setenv("STOCK_PIPELINE__KAFKA__REQUEST_TIMEOUT_SECONDS", str(timeout))
        for name in type(made.security).model_fields:
            value = getattr(made.security, name)
            secret = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            monkeypatch.setenv(
                f"STOCK_PIPELINE__KAFKA__SECURITY__{name.upper()}", str(secret or "")
            )
        settings = settings_for(feeds)
        assert settings.kafka == made
        return settings

    return make


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
