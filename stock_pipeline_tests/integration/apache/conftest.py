"""In this folder the broker is Apache Kafka; everything else is as in the other tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def broker(apache_broker: str) -> str:
    """Apache Kafka."""
    return apache_broker


@pytest.fixture(autouse=True)
def _settings_name_apache(
    apache_broker: str, local_stack: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings, here and in child processes, lead to it."""
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", apache_broker)
