"""What was refused goes on by itself once it is mended, and stops nothing else meanwhile."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.defs.kafka.assets import topic_checks
from stock_pipeline.doctor.kafka import kafka_findings
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.kafka.control import KafkaAccessError, RangeReader
from stock_pipeline.kafka.publisher import Publisher, PublishError
from stock_pipeline.kafka.refusals import access_problem
from stock_pipeline.settings import get_settings
from stock_pipeline_tests.integration.security.secure_broker import (
    LOG_IN,
    PASSWORD,
    USER,
    WRONG,
    SecureBroker,
    check_sentence,
)
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.secured import Configure, ingest_all, send, tick
from stock_pipeline_tests.support.waiting import until

pytestmark = pytest.mark.apache


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
        until(lambda: access_problem(settings.kafka), "the broker knows the new password")
        planner.kafka.close()
        with pytest.raises(KafkaAccessError, match=f"refused user {USER}"):
            planner.poll()
    finally:
        secure_broker.set_password(PASSWORD)
    until(lambda: not access_problem(settings.kafka), "the broker knows the old password")
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
    until(lambda: topic in planner.poll().refused, "the permission is revoked")

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
    until(lambda: not planner.poll().refused, "the permission is back")
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
    until(lambda: topic in planner.poll().refused, "the permission is revoked")
    planner.kafka.close()
    job = dg.Definitions(
        asset_checks=[topic_checks(settings)], resources=location().resources
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
    until(lambda: topic in planner.poll().refused, "the permission is revoked")
    with pytest.raises(KafkaAccessError, match="do not let user"):
        planner.poll()[topic]
    with pytest.raises(PublishError, match="do not let user"):
        Publisher(settings.kafka, topic)
    assert "do not let" in {f.name: f.answer for f in kafka_findings(settings)}["feed trades"]
    planner.kafka.close()
