"""What is refused is one sentence, wherever people read it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.doctor.kafka import kafka_findings
from stock_pipeline.kafka.control import KafkaAccessError, RangeReader
from stock_pipeline.kafka.publisher import Publisher, PublishError
from stock_pipeline_tests.integration.security.secure_broker import (
    LOG_IN,
    SCRAM,
    USER,
    WRONG,
    SecureBroker,
    check_sentence,
)
from stock_pipeline_tests.support.secured import Configure, tick

pytestmark = pytest.mark.apache

NOT_USED = {"ca_file": None}

#: Listener, what differs from the right settings, and what the sentence must say.
REFUSALS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "wrong password, plain": (
        "SASL",
        LOG_IN | {"mechanism": "PLAIN", "password": WRONG},
        (f"refused user {USER} (PLAIN:", "KAFKA__SECURITY__PASSWORD"),
    ),
    "wrong password, scram": (
        "SASL",
        LOG_IN | {"password": WRONG},
        (f"refused user {USER} ({SCRAM}:", "KAFKA__SECURITY__PASSWORD"),
    ),
    "mechanism not offered": (
        "TOKEN",
        LOG_IN,
        (f"do not take SASL {SCRAM}, but OAUTHBEARER", "kafka.security.mechanism"),
    ),
    "unknown authority": (
        "TLS",
        {"ca_file": "other_ca"},
        ("is not signed by", "other_ca.pem", "kafka.security.ca_file"),
    ),
    "expired certificate": ("EXPIRED", {}, ("has expired", "Renew it on the broker")),
    "certificate of another host": ("ELSEWHERE", {}, ("for another host", "127.0.0.1")),
    "no client certificate": ("MUTUAL", {}, ("asks for a client certificate",)),
    "unknown client certificate": (
        "MUTUAL",
        {"certificate": "other_client"},
        ("refused the client certificate", "trust the authority"),
    ),
    "expired client certificate": (
        "MUTUAL",
        {"certificate": "expired_client"},
        ("refused the client certificate", "openssl x509 -enddate"),
    ),
    "wrong password of the key": (
        "MUTUAL",
        {"certificate": "client", "key_password": WRONG},
        ("certificate_file", "its password is missing or wrong", "KEY_PASSWORD"),
    ),
    "key of another certificate": (
        "MUTUAL",
        {"certificate": "client", "key": "other_client"},
        ("the key is not that of the certificate",),
    ),
    "the broker speaks TLS, we do not": (
        "TLS",
        {"protocol": "plaintext"} | NOT_USED,
        ("speak TLS, and kafka.security.protocol is plaintext", "ca_file"),
    ),
    "we speak TLS, the broker does not": (
        "OPEN",
        {"protocol": "ssl", "ca_file": "ca"},
        ("There is no TLS at", "kafka.security.protocol"),
    ),
    "the broker asks who we are": (
        "CLEAR",
        {"protocol": "plaintext"},
        ("ask who we are by SASL (PLAIN, SCRAM", "sasl_plaintext"),
    ),
    "the broker does not ask who we are": (
        "OPEN",
        LOG_IN | {"protocol": "sasl_plaintext"},
        ("do not ask who we are", "plaintext without a mechanism"),
    ),
}


def security_of(broker: SecureBroker, given: dict[str, Any]) -> dict[str, Any]:
    files, found = broker.certificates, dict(given)
    if found.get("ca_file"):
        found["ca_file"] = files.folder / f"{found['ca_file']}.pem"
    if name := found.pop("certificate", None):
        key = found.pop("key", name)
        locked = "key_password" in found
        found["certificate_file"] = files.chain(name)
        found["key_file"] = files.locked_key(key) if locked else files.key(key)
    return found


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused_is_one_sentence_everywhere(
    case: str, secure_broker: SecureBroker, configure: Configure, instance: dg.DagsterInstance
) -> None:
    listener, given, parts = REFUSALS[case]
    settings = configure(listener, timeout=10, **security_of(secure_broker, given))
    skipped = tick(instance).skip_reason
    assert skipped is not None
    check_sentence(str(skipped.skip_message), (*parts, "records wait in Kafka, nothing is lost"))
    broker, *rest = kafka_findings(settings)
    check_sentence(f"{broker.answer} {broker.remedy}", parts)
    assert {broker.state, *(f.state for f in rest)} == {"failed", "skipped"}
    with pytest.raises(PublishError) as unsent:
        Publisher(settings.kafka, settings.feeds["trades"].topic)
    check_sentence(str(unsent.value), (*parts, "nothing was sent"))


@pytest.mark.parametrize("case", ["wrong password, scram", "unknown authority"])
def test_a_batch_that_may_not_be_read_fails_in_one_sentence_within_seconds(
    case: str, secure_broker: SecureBroker, configure: Configure
) -> None:
    """librdkafka itself would try for ever."""
    listener, given, parts = REFUSALS[case]
    settings = configure(listener, timeout=10, **security_of(secure_broker, given))
    topic = settings.feeds["trades"].topic
    with (
        closing(RangeReader(settings.kafka, topic)) as reader,
        pytest.raises(KafkaAccessError) as refused,
    ):
        list(reader.read(0, 0, 5))
    check_sentence(str(refused.value), parts)
