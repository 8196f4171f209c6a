"""What is refused is one sentence, and the pipeline goes on by itself once that is mended."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.defs.ingest import sensor
from stock_pipeline.defs.ingest.assets import run_batch
from stock_pipeline.resources.diagnosis_kafka import kafka_findings
from stock_pipeline.resources.kafka import KafkaAccessError, RangeReader
from stock_pipeline.resources.planner import Planner
from stock_pipeline.settings import get_settings
from stock_pipeline.sources.publisher import Publisher, PublishError
from stock_pipeline_tests.integration.security.conftest import Configure
from stock_pipeline_tests.integration.security.secure_broker import (
    KEY_PASSWORD,
    PASSWORD,
    USER,
    SecureBroker,
)
from stock_pipeline_tests.integration.security.test_ways_in import ingest_all, send
from stock_pipeline_tests.waiting import wait_until

pytestmark = pytest.mark.apache

WRONG = "wrong-password-5512"
SCRAM = "SCRAM-SHA-512"
LOG_IN = {"mechanism": SCRAM, "username": USER, "password": PASSWORD}
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


@pytest.fixture(autouse=True)
def fresh_planner() -> Iterator[None]:
    sensor._planner.cache_clear()
    yield
    sensor._planner.cache_clear()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(instance: dg.DagsterInstance) -> dg.SensorResult:
    result = sensor.plan_batches(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    return result


def check_sentence(text: str, parts: tuple[str, ...]) -> None:
    """It says all that, in one line, and no secret."""
    for part in parts:
        assert part in text
    assert "\n" not in text
    assert not any(secret in text for secret in (PASSWORD, KEY_PASSWORD, WRONG))


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused_is_one_sentence_everywhere(
    case: str, secure_broker: SecureBroker, configure: Configure, instance: dg.DagsterInstance
) -> None:
    listener, given, parts = REFUSALS[case]
    settings = configure(listener, timeout=2, **security_of(secure_broker, given))
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
    settings = configure(listener, timeout=2, **security_of(secure_broker, given))
    topic = settings.feeds["trades"].topic
    with (
        closing(RangeReader(settings.kafka, topic)) as reader,
        pytest.raises(KafkaAccessError) as refused,
    ):
        list(reader.read(0, 0, 5))
    check_sentence(str(refused.value), parts)


def test_a_corrected_password_is_taken_without_a_restart(
    secure_broker: SecureBroker, configure: Configure, instance: dg.DagsterInstance
) -> None:
    right = configure("SASL", **LOG_IN)
    send(right, 3)
    configure("SASL", **LOG_IN | {"password": WRONG})
    assert "refused user" in str(tick(instance).skip_reason)
    # The cached settings of this process stay the wrong ones.
    wrong = get_settings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCK_PIPELINE__KAFKA__SECURITY__PASSWORD", PASSWORD)
        assert [r.run_key for r in tick(instance).run_requests or []] == ["trades-0-1"]
    assert get_settings() is wrong


def test_a_changed_password_stops_the_feeds_until_the_broker_has_the_old_one_again(
    secure_broker: SecureBroker, configure: Configure, instance: dg.DagsterInstance
) -> None:
    settings = configure("SASL", **LOG_IN)
    send(settings, 3)
    planner = Planner(settings)
    assert ingest_all(planner) == 3
    secure_broker.set_password("somebody-elses-9934")
    try:
        planner.kafka.close()
        with pytest.raises(KafkaAccessError, match=f"refused user {USER}"):
            planner.poll()
    finally:
        secure_broker.set_password(PASSWORD)
    send(settings, 4)
    assert ingest_all(planner) == 4
    planner.kafka.close()


def test_a_renewed_client_certificate_is_taken_without_a_restart(
    secure_broker: SecureBroker, configure: Configure, tmp_path: Any
) -> None:
    files = secure_broker.certificates
    chain, key = tmp_path / "own.pem", tmp_path / "own.key"

    def install(name: str) -> None:
        shutil.copy(files.chain(name), chain)
        shutil.copy(files.key(name), key)

    install("expired_client")
    settings = configure("MUTUAL", certificate_file=chain, key_file=key)
    planner = Planner(settings)
    with pytest.raises(KafkaAccessError, match="refused the client certificate"):
        planner.poll()
    install("client")
    send(settings, 2)
    assert ingest_all(planner) == 2
    planner.kafka.close()


def test_a_revoked_permission_stops_its_feed_only_and_until_it_is_given_back(
    secure_broker: SecureBroker, configure: Configure, instance: dg.DagsterInstance
) -> None:
    settings = configure("SASL", **LOG_IN)
    topic = settings.feeds["trades"].topic
    planner = Planner(settings)
    send(settings, 3)
    (request,) = planner.tick("trades", planner.poll()[topic], lambda plan: [], force=True).requests
    secure_broker.allow(topic, "DESCRIBE")
    wait_until(lambda: topic in planner.poll().refused, "the permission is revoked")

    sentence = f"do not let user {USER} read topic {topic}"
    with pytest.raises(KafkaAccessError, match=sentence):
        run_batch(planner, "trades", request.plan, 1, "run")
    with (
        closing(RangeReader(settings.kafka, topic)) as reader,
        pytest.raises(KafkaAccessError, match=sentence),
    ):
        list(reader.read(0, 0, 3))
    with pytest.raises(PublishError, match=f"do not let user {USER} write topic {topic}"):
        send(settings, 1)
    send(settings, 2, "others")
    result = tick(instance)
    assert [r.run_key for r in result.run_requests or []] == ["others-0-1"]
    findings = {f.name: f for f in kafka_findings(settings)}
    assert sentence in findings["feed trades"].answer
    assert findings["feed others"].state == "ok"

    secure_broker.allow(topic, "READ", "DESCRIBE", "WRITE")
    wait_until(lambda: not planner.poll().refused, "the permission is back")
    done, _ = run_batch(planner, "trades", request.plan, 2, "again")
    assert done.commit.decision.rows == 3
    planner.kafka.close()


def test_the_checks_of_a_topic_that_may_not_be_read_are_red_and_say_why(
    secure_broker: SecureBroker, configure: Configure, instance: dg.DagsterInstance
) -> None:
    settings = configure("SASL", **LOG_IN)
    topic, other = (settings.feeds[name].topic for name in ("trades", "others"))
    planner = Planner(settings)
    secure_broker.allow(topic, "DESCRIBE")
    wait_until(lambda: topic in planner.poll().refused, "the permission is revoked")
    planner.kafka.close()
    # A copy of the module: the checks are made of the settings when it is loaded.
    spec = importlib.util.find_spec("stock_pipeline.defs.kafka.assets")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    job = dg.Definitions(
        asset_checks=[module.topics_can_be_read]
    ).get_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance)
    verdicts = result.get_asset_check_evaluations()
    said = {str(v.description) for v in verdicts if v.asset_key.path[-1] == topic}
    (sentence,) = said
    check_sentence(sentence, (f"do not let user {USER} read topic {topic}", "Not checked"))
    assert {v.passed for v in verdicts if v.asset_key.path[-1] == topic} == {False}
    assert {v.passed for v in verdicts if v.asset_key.path[-1] == other} == {True}


def test_a_topic_that_may_not_even_be_seen_is_not_called_missing(
    secure_broker: SecureBroker, configure: Configure
) -> None:
    settings = configure("SASL", **LOG_IN)
    topic = settings.feeds["trades"].topic
    planner = Planner(settings)
    secure_broker.allow(topic)
    wait_until(lambda: topic in planner.poll().refused, "the permission is revoked")
    with pytest.raises(KafkaAccessError, match="do not let user"):
        planner.poll()[topic]
    with pytest.raises(PublishError, match="do not let user"):
        Publisher(settings.kafka, topic)
    assert "do not let" in {f.name: f.answer for f in kafka_findings(settings)}["feed trades"]
    planner.kafka.close()
