"""Every way of security, through our own classes: produce, poll, plan, read, ingest."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stock_pipeline.doctor.kafka import kafka_findings
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.iam import IamToken
from stock_pipeline.stack.provision import ensure_topics
from stock_pipeline_tests.integration.security.secure_broker import (
    KEY_PASSWORD,
    SecureBroker,
    unsigned_token,
)
from stock_pipeline_tests.support.secured import Configure, ingest_all, send

pytestmark = pytest.mark.apache

WAYS = {
    "tls": ("TLS", {}),
    "mutual tls": ("MUTUAL", {"key": "client"}),
    "mutual tls, locked key": ("MUTUAL", {"locked_key": "client"}),
    "plain": ("SASL", {"mechanism": "PLAIN"}),
    "scram-sha-256": ("SASL", {"mechanism": "SCRAM-SHA-256"}),
    "scram-sha-512": ("SASL", {"mechanism": "SCRAM-SHA-512"}),
    "scram-sha-512 without tls": ("CLEAR", {"mechanism": "SCRAM-SHA-512"}),
    "token": ("TOKEN", {"mechanism": "AWS_MSK_IAM", "region": "eu-central-1"}),
}


def security_of(broker: SecureBroker, way: dict[str, str]) -> dict[str, Any]:
    """The settings of a way in, with its files and the password."""
    files = broker.certificates
    if name := way.get("key"):
        return {"certificate_file": files.chain(name), "key_file": files.key(name)}
    if name := way.get("locked_key"):
        return {
            "certificate_file": files.chain(name),
            "key_file": files.locked_key(name),
            "key_password": KEY_PASSWORD,
        }
    if "region" in way or not way:
        return dict(way)
    return broker.user(way["mechanism"])


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_security_produces_polls_plans_and_ingests(
    way: str, secure_broker: SecureBroker, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What AWS would sign, this broker cannot check; it takes a token of its own kind.
    monkeypatch.setattr(IamToken, "_signed", lambda self: (unsigned_token(), time.time() + 900))
    listener, given = WAYS[way]
    settings = configure(listener, **security_of(secure_broker, given))
    topics = {feed.topic: (1, 60) for feed in settings.feeds.values()}
    ensure_topics(settings.kafka, topics)
    send(settings, 5)
    planner = Planner(settings)
    assert ingest_all(planner) == 5
    planner.kafka.close()
    findings = kafka_findings(settings)
    assert {f.state for f in findings} == {"ok"}, findings
