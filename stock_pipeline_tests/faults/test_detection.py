"""What is wrong with a topic is seen before, or as soon as, it costs records; and what to type."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from stock_pipeline.defs.ingest import sensor
from stock_pipeline.ingest.documents import OffsetRange
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics import health as topic_health
from stock_pipeline.ingest.topics.health import (
    NO_HUNG_TRANSACTION,
    NOTHING_LOST,
    SAME_TOPIC,
    TIME_LEFT,
)
from stock_pipeline.ingest.topics.status import FeedStatus, feed_statuses
from stock_pipeline.settings import get_settings
from stock_pipeline_tests.faults.ticks import Ticks
from stock_pipeline_tests.support.trades import trade
from stock_pipeline_tests.support.waiting import until

FEED = {"format": "trade", "calendar": "24/7", "retention_minutes": 60}
FEEDS = {"trades": FEED, "others": FEED}
ADOPT = "stock-pipeline feed adopt trades"


@pytest.fixture
def ticks() -> Iterator[Ticks]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(instance)


def status_of(feed: str) -> FeedStatus:
    return next(s for s in feed_statuses(get_settings()) if s.feed == feed)


def test_a_check_is_red_before_retention_deletes_what_is_unread(
    settings_for, lake, broker, produce, ticks
):
    settings = settings_for(FEEDS)
    # Ten minutes are left for almost a minute.
    minutes_ago = int((time.time() - 50 * 60 + 25) * 1000)
    produce(settings.feeds["others"].topic, [trade(0)])
    produce(settings.feeds["trades"].topic, [trade(0)], timestamp_ms=minutes_ago)
    requests = ticks.tick()
    # Planned is not read: the batch may fail until its records are gone.
    assert "in 10 min; nothing is lost yet" in ticks.said("trades", TIME_LEFT)
    assert ticks.said("others", TIME_LEFT) == ""
    assert ticks.said("trades", NOTHING_LOST) == ""
    assert status_of("trades").checks[TIME_LEFT] == ticks.said("trades", TIME_LEFT)
    assert all(ticks.run(request).success for request in requests)
    ticks.tick()
    assert ticks.said("trades", TIME_LEFT) == ""
    assert status_of("trades").checks[TIME_LEFT] == ""


def test_records_kept_for_ever_or_compacted_are_never_about_to_be_deleted(
    settings_for, lake, broker, produce
):
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    from stock_pipeline.ingest.topics.watch import TopicWatch

    settings = settings_for(FEEDS)
    feed = settings.feeds["trades"]
    produce(feed.topic, [trade(0)], timestamp_ms=int((time.time() - 50 * 60) * 1000))
    planner = Planner(settings)
    state, offsets = planner.logs["trades"].state(), planner.poll()[feed.topic]
    assert offsets is not None
    assert TopicWatch(planner.kafka).seconds_left(feed, state, offsets)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    resource = ConfigResource(ConfigResourceType.TOPIC, feed.topic, configs={"retention.ms": "-1"})
    admin.alter_configs([resource])
    assert TopicWatch(planner.kafka).seconds_left(feed, state, offsets) is None


def test_what_retention_deleted_unread_is_a_gap_with_its_exact_range(
    settings_for, lake, broker, produce, ticks
):
    settings = settings_for({"trades": FEED | {"max_wait_seconds": 0}})
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(10)])
    assert all(ticks.run(request).success for request in ticks.tick())
    produce(topic, [trade(n) for n in range(10, 20)])
    planner = Planner(settings)
    planner.kafka.delete_records(topic, {0: 15})
    (request,) = ticks.tick()
    result = ticks.run(request)
    gap = "batch 1, partition 0: offsets 10 to 14 were deleted before they were read"
    commit = planner.logs["trades"].commit_of(1)
    assert commit is not None
    assert commit.decision.partitions[0].lost_ranges == (OffsetRange(start=10, end=15),)
    assert commit.decision.rows == 5
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert checks["nothing_lost"].description == gap
    assert not checks["nothing_lost"].passed
    (bronze, _) = result.get_asset_materialization_events()
    assert bronze.materialization.metadata["lost_ranges"].value == gap
    # Later batches do not hide it.
    produce(topic, [trade(20)])
    for _ in range(3):
        for request in ticks.tick():
            assert ticks.run(request).success
        assert ticks.said("trades", NOTHING_LOST) == gap
    assert status_of("trades").checks[NOTHING_LOST] == gap


def test_a_recreated_topic_stops_its_feed_and_only_it_until_it_is_adopted(
    settings_for, lake, broker, produce, ticks
):
    settings = settings_for({name: feed | {"max_wait_seconds": 0} for name, feed in FEEDS.items()})
    topic, other = settings.feeds["trades"].topic, settings.feeds["others"].topic
    produce(topic, [trade(n) for n in range(10)])
    assert all(ticks.run(request).success for request in ticks.tick())
    recreate(settings, topic)
    produce(topic, [trade(n) for n in range(3)])
    produce(other, [trade(n) for n in range(3)])
    requests = ticks.tick()
    assert [request.tags[sensor.FEED_TAG] for request in requests] == ["others"]
    assert ticks.run(requests[0]).success
    assert ADOPT in ticks.said("trades", SAME_TOPIC)
    assert ticks.said("others", SAME_TOPIC) == ""
    assert status_of("trades").checks[SAME_TOPIC] == ticks.said("trades", SAME_TOPIC)
    adopt("trades")
    (request,) = ticks.tick()
    assert ticks.run(request).success
    assert ticks.said("trades", SAME_TOPIC) == ""


def test_other_records_at_the_same_offsets_turn_the_topics_check_red(
    settings_for, lake, broker, produce, ticks
):
    """As after an unclean election or a restored backup: only the last record read can tell."""
    settings = settings_for({"trades": FEED | {"max_wait_seconds": 0}})
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(5)])
    assert all(ticks.run(request).success for request in ticks.tick())
    recreate(settings, topic)
    produce(topic, [trade(n, price=7) for n in range(50)])
    if without_ids := Planner(settings).logs["trades"].state().topic_id is None:
        # Offsets say nothing; the run that reads the last record does.
        (request,) = ticks.tick()
        assert ticks.said("trades", SAME_TOPIC) == ""
        assert not ticks.run(request).success
    ticks.tick()
    said = ticks.said("trades", SAME_TOPIC)
    assert ADOPT in ticks.sentence
    assert ("another record at offset 4" in said) == without_ids
    assert ADOPT in said
    assert status_of("trades").checks[SAME_TOPIC] == said
    shown = CliRunner().invoke(_app(), ["status"])
    assert ADOPT in " ".join(shown.output.split())
    # No event a tick: it is red and stays so.
    red = ticks.checks[topic][SAME_TOPIC]
    ticks.tick()
    assert ticks.checks[topic][SAME_TOPIC] is red
    adopt("trades")
    for _ in range(2):
        for request in ticks.tick():
            ticks.run(request)
    assert ticks.said("trades", SAME_TOPIC) == ""
    assert status_of("trades").checks[SAME_TOPIC] == ""


def test_a_transaction_that_stays_open_is_shown_by_its_length_or_its_age(
    settings_for, lake, broker, produce, ticks, monkeypatch
):
    from confluent_kafka import Producer

    settings = settings_for({"trades": FEED})
    topic = settings.feeds["trades"].topic
    hung = Producer({"bootstrap.servers": broker, "transactional.id": f"hung-{topic}"})
    hung.init_transactions()
    hung.begin_transaction()
    hung.produce(topic, trade(0), partition=0)
    hung.flush()
    ticks.tick()
    ticks.tick()
    assert ticks.said("trades", NO_HUNG_TRANSACTION) == ""
    monkeypatch.setattr(topic_health, "HUNG_SECONDS", 0.0)
    ticks.tick()
    assert "readable up to 0, written up to 1 for" in ticks.said("trades", NO_HUNG_TRANSACTION)
    monkeypatch.setattr(topic_health, "HUNG_OFFSETS", 0)
    assert "written up to 1; a transaction" in status_of("trades").checks[NO_HUNG_TRANSACTION]
    hung.commit_transaction()

    def is_over() -> bool:
        assert all(ticks.run(request).success for request in ticks.tick())
        return ticks.said("trades", NO_HUNG_TRANSACTION) == ""

    until(is_over, "the end of the transaction")
    (commit,) = Planner(settings).logs["trades"].commits()
    assert commit.decision.rows == 1


def recreate(settings: Any, topic: str) -> None:
    from kafka import KafkaAdminClient

    from stock_pipeline.stack.provision import ensure_topics

    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    admin.delete_topics([topic])
    until(lambda: topic not in admin.list_topics(), "the topic is gone")
    ensure_topics(settings.kafka, {topic: (1, 60)})


def adopt(feed: str) -> None:
    from stock_pipeline.commands.feed import feed as app

    done = CliRunner().invoke(app, ["adopt", feed, "--yes"])
    assert done.exit_code == 0, done.output


def _app() -> Any:
    from stock_pipeline.cli import app

    return app
