"""What the planning sensor asks for and says, on good days and bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from stock_pipeline.defs.ingest.attempts import ATTEMPT_TAG, FEED_TAG, SEQ_TAG, BatchRuns
from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.planner import NotYet, next_attempt
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.settings import get_settings
from stock_pipeline.stack.ports import free_port
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.trades import FEEDS, trade
from stock_pipeline_tests.support.waiting import until

TWO_FEEDS = FEEDS | {"others": {"format": "trade", "source": "others", "calendar": "24/7"}}


pytestmark = pytest.mark.broker_semantics


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    return location().plan_batches(instance, cursor)


def said(result: dg.SensorResult) -> str:
    assert result.skip_reason is not None
    return str(result.skip_reason.skip_message)


def test_what_waits_becomes_a_run_request_with_a_key_of_its_own(
    settings_for, lake, broker, produce, instance
):
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(5)])
    result = tick(instance)
    (request,) = result.run_requests or []
    assert request.run_key == "trades-0-1"
    assert request.job_name == "ingest_trades"
    assert request.tags["dagster/max_runtime"] == "600"
    config: dict[str, Any] = dict(request.run_config)
    assert config["ops"]["batch_of_trades"]["config"] == {"seq": 0, "attempt": 1}
    observed = [e for e in result.asset_events if isinstance(e, dg.AssetObservation)]
    assert observed[0].metadata["end_offsets"].value["0"] == 5  # type: ignore[call-overload,index]


def test_an_idle_tick_says_why_in_one_sentence_and_writes_no_event_twice(
    settings_for, lake, broker, instance
):
    settings_for(TWO_FEEDS)
    first = tick(instance)
    assert said(first) == "others: nothing waiting; trades: nothing waiting"
    assert first.asset_events
    second = tick(instance, first.cursor)
    assert second.asset_events == []


def test_a_plan_whose_run_never_started_is_asked_for_again(
    settings_for, lake, broker, produce, instance
):
    """The daemon died between the plan and the run."""
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(0)])
    tick(instance)
    again = tick(instance)
    assert [r.run_key for r in again.run_requests or []] == ["trades-0-1"]


def test_a_tick_reads_no_object_that_it_wrote_or_read_and_lists_a_log_once(
    settings_for, lake, broker, produce, instance
):
    feed = {
        "format": "trade",
        "calendar": "24/7",
        "min_records": 1,
        "max_records": 2,
        "max_batches_in_flight": 3,
    }
    settings = settings_for({"trades": feed})
    planner = location().planning.planner
    first = tick(instance)
    asked: list[str] = []
    planner.lake.client.meta.events.register(
        "before-parameter-build.s3",
        lambda model, **_: asked.append(model.name),
    )
    idle = tick(instance, first.cursor)
    assert asked == ["ListObjectsV2"] * 2
    asked.clear()
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(6)])
    busy = tick(instance, idle.cursor)
    plans = [planner.logs["trades"].plan_of(n) for n in range(3)]
    assert len(busy.run_requests or []) == 3
    assert asked == ["ListObjectsV2"] * 2 + ["PutObject"] * 3
    for plan in plans:
        assert plan
        run_batch(planner, "trades", plan, 1, "run")
    asked.clear()
    tick(instance, busy.cursor)
    # The commit of the last batch is new; those before it were read while it ran.
    assert asked == ["ListObjectsV2", "GetObject", "ListObjectsV2"]


def test_a_missing_topic_is_named_and_stops_no_other_feed(
    settings_for, lake, broker, produce, instance
):
    from kafka import KafkaAdminClient

    settings = settings_for(TWO_FEEDS)
    admin, others = KafkaAdminClient(bootstrap_servers=broker), settings.feeds["others"].topic
    admin.delete_topics([others])
    until(lambda: others not in admin.list_topics(), "the topic is gone")
    produce(settings.feeds["trades"].topic, [trade(0)])
    result = tick(instance)
    assert [r.run_key for r in result.run_requests or []] == ["trades-0-1"]
    failed = [
        e for e in result.asset_events if isinstance(e, dg.AssetCheckEvaluation) and not e.passed
    ]
    assert "does not exist" in str(failed[0].description)


def test_an_unreachable_broker_is_one_sentence_and_the_next_tick_goes_on(
    settings_for, lake, broker, produce, instance
):
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(0)])
    nowhere = f"127.0.0.1:{free_port()}"
    planner = location().planning.planner
    here = planner.kafka.settings
    planner.kafka.settings = planner.kafka.settings.model_copy(
        update={"bootstrap_servers": nowhere, "request_timeout_seconds": 1.0}
    )
    sentence = said(tick(instance))
    assert f"Kafka at {nowhere} does not answer" in sentence
    assert "nothing is lost" in sentence
    planner.kafka.settings = here
    assert len(tick(instance).run_requests or []) == 1


def test_an_unreachable_lake_is_one_sentence_and_plans_nothing(
    settings_for, lake, broker, produce, instance, monkeypatch
):
    nowhere = f"http://127.0.0.1:{free_port()}"
    settings = settings_for(FEEDS)
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", nowhere)
    get_settings.cache_clear()
    produce(settings.feeds["trades"].topic, [trade(0)])
    sentence = said(tick(instance))
    assert "AWS cannot be reached" in sentence
    assert nowhere in sentence
    assert "nothing was planned or lost" in sentence


def test_a_store_without_the_bucket_is_one_sentence(
    settings_for, lake, broker, instance, monkeypatch
):
    settings_for(FEEDS)
    monkeypatch.setenv("STOCK_PIPELINE__AWS__BUCKET", "no-such-bucket-here")
    get_settings.cache_clear()
    assert "s3://no-such-bucket-here" in said(tick(instance))


@dg.job
def nothing() -> None:
    """A job to queue."""


def test_a_queued_run_cannot_have_died_and_a_cancelled_one_is_over(settings_for, instance):
    settings_for(FEEDS)
    plan = Plan(
        feed="trades",
        topic="t",
        seq=3,
        planned_at=datetime(2026, 11, 20),
        decoder_version="1",
        ranges={},
    )
    tags = {FEED_TAG: "trades", SEQ_TAG: "3", ATTEMPT_TAG: "1"}
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("anywhere"), "__repository__")
    run = instance.create_run_for_job(
        nothing,
        tags=tags,
        status=dg.DagsterRunStatus.QUEUED,
        remote_job_origin=RemoteJobOrigin(repository, "nothing"),
        job_code_origin=dg.reconstructable(nothing).get_python_origin(),
    )
    runs = BatchRuns(instance)
    (first,), (later,) = runs.attempts(plan), runs.attempts(plan)
    assert first.started_at < later.started_at
    assert next_attempt([later], 600, later.started_at) == NotYet(1)
    instance.report_run_canceled(run)
    (over,) = runs.attempts(plan)
    assert over.ended_at is not None
    assert next_attempt([over], 600, over.ended_at + timedelta(seconds=5)) == 2
