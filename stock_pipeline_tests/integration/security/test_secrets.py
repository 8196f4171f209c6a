"""Passwords are planted, everything that people and programs can read is searched for them."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import traceback
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.kafka.publisher import Publisher
from stock_pipeline.settings import Settings
from stock_pipeline_tests.integration.security.secure_broker import (
    KEY_PASSWORD,
    LOG_IN,
    PASSWORD,
    USER,
    WRONG,
    SecureBroker,
)
from stock_pipeline_tests.support.location import Location, location
from stock_pipeline_tests.support.secured import Configure, ingest_all, send
from stock_pipeline_tests.support.waiting import until

pytestmark = pytest.mark.apache

#: Each as itself and as base64, also behind what SASL PLAIN puts before it.
PLANTED = [
    form
    for secret in (PASSWORD, KEY_PASSWORD, WRONG)
    for form in (
        secret,
        base64.b64encode(secret.encode()).decode().rstrip("="),
        base64.b64encode(f"\0{USER}\0{secret}".encode()).decode().rstrip("="),
    )
]


def found_in(text: str) -> list[str]:
    return [form for form in PLANTED if form in text]


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "stock_pipeline", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"COLUMNS": "2000"},
    )
    assert found_in(done.stdout + done.stderr) == []
    assert "Traceback" not in done.stdout + done.stderr
    return done


def locked(broker: SecureBroker) -> dict[str, Any]:
    files = broker.certificates
    return {
        "certificate_file": files.chain("client"),
        "key_file": files.locked_key("client"),
        "key_password": KEY_PASSWORD,
    }


def run_of(settings: Settings, instance: dg.DagsterInstance) -> str:
    """All that Dagster keeps of a run that ingests: events, messages, configuration."""
    result = Location(settings).ingest(instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    entries = [str(entry) for entry in instance.all_logs(result.run_id)]
    failures = [str(event.event_specific_data) for event in result.all_events]
    return "\n".join([*entries, *failures, json.dumps(run.run_config), str(run.tags)])


def test_the_log_in_of_sasl_plain_is_in_no_debug_log(
    secure_broker: SecureBroker, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """kafka-python prints its configuration, and the bytes that it sends, at that level."""
    caplog.set_level(logging.DEBUG)
    settings = configure("CLEAR", **LOG_IN | {"mechanism": "PLAIN"})
    control = KafkaControl(settings.kafka)
    assert control.topic_offsets([settings.feeds["trades"].topic])
    control.close()
    assert "kafka.net" in {record.name.rpartition(".")[0] for record in caplog.records}
    assert found_in(caplog.text) == []
    assert found_in("\n".join(repr(record.args) for record in caplog.records)) == []


@pytest.mark.parametrize("way", ["plain", "scram", "wrong", "locked key", "wrong key"])
def test_no_planted_password_is_in_errors_logs_events_or_settings(
    way: str,
    secure_broker: SecureBroker,
    configure: Configure,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    listener, security = {
        "plain": ("SASL", LOG_IN | {"mechanism": "PLAIN"}),
        "scram": ("SASL", LOG_IN),
        "wrong": ("SASL", LOG_IN | {"password": WRONG}),
        "locked key": ("MUTUAL", locked(secure_broker)),
        "wrong key": ("MUTUAL", locked(secure_broker) | {"key_password": WRONG}),
    }[way]
    settings = configure(listener, timeout=5, **security)
    said = [repr(settings), settings.model_dump_json(), str(settings.model_dump())]
    with dg.DagsterInstance.ephemeral() as instance:
        tick = location().plan_batches(instance)
        kept = run_of(settings, instance)
        said += [repr(tick), kept]
    if way.startswith("wrong"):
        for refused in (
            lambda: Planner(settings).poll(),
            lambda: Publisher(settings.kafka, settings.feeds["trades"].topic),
        ):
            with pytest.raises(Exception, match=r"refused user|cannot be used") as error:
                refused()
            said += traceback.format_exception(error.value)
        assert "records wait in Kafka, nothing is lost" in kept
    else:
        send(settings, 3)
        assert ingest_all(Planner(settings)) == 3
    printed = capfd.readouterr()
    assert found_in("\n".join([*said, caplog.text, printed.out, printed.err])) == []


def test_the_commands_print_one_sentence_and_no_password(
    secure_broker: SecureBroker, configure: Configure
) -> None:
    configure("SASL", timeout=5, **LOG_IN | {"password": WRONG})
    done = cli("status")
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert f"refused user {USER}" in sentence
    assert "records wait in Kafka, nothing is lost" in sentence
    done = cli("doctor")
    assert done.returncode == 1
    assert f"refused user {USER}" in done.stdout
    findings = {f["name"]: f for f in json.loads(cli("doctor", "--json").stdout)}
    assert findings["kafka broker"]["state"] == "failed"
    assert "KAFKA__SECURITY__PASSWORD" in findings["kafka broker"]["remedy"]

    configure("SASL", **LOG_IN)
    findings = {f["name"]: f for f in json.loads(cli("doctor", "--json").stdout)}
    assert findings["kafka broker"]["state"] == "ok"


def test_a_revoked_permission_is_shown_by_status_beside_the_other_feeds(
    secure_broker: SecureBroker, configure: Configure
) -> None:
    settings = configure("SASL", **LOG_IN)
    topic = settings.feeds["trades"].topic
    secure_broker.allow(topic, "DESCRIBE")
    control = KafkaControl(settings.kafka)
    until(lambda: topic in control.topic_offsets([topic]).refused, "it is revoked")
    control.close()
    done = cli("status")
    assert done.returncode == 0
    assert f"do not let user {USER} read topic {topic}" in done.stdout
    assert settings.feeds["others"].topic in done.stdout
    assert "(missing)" not in done.stdout
