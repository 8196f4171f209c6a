"""From a real topic to real objects, through the Dagster assets and the sensor."""

from __future__ import annotations

import dataclasses
import re
from itertools import islice
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.defs.ingest.assets import BatchConfig, op_name
from stock_pipeline.ingest.decide import DiskFullError
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import ingest_what_waits, run_batch
from stock_pipeline.ingest.where import locate
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats.arrow import TRADES
from stock_pipeline.settings import KafkaSettings
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade
from stock_pipeline_tests.support.waiting import until, wait_for_transactions

pytestmark = pytest.mark.broker_semantics


def test_what_a_person_asks_for_ends_while_records_keep_arriving(
    settings_for, lake, broker, produce
):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(10)])
    planner, rows = Planner(settings), []
    for ingested, _ in islice(ingest_what_waits(planner, "trades", "run"), 5):
        rows.append(ingested.commit.decision.rows)
        produce(topic, [trade(10 + len(rows))])
    assert rows == [10]
    assert [d.commit.decision.rows for d in ingest_all(settings)] == [1]


def test_each_record_becomes_a_row_or_a_reject(settings_for, lake, broker, produce):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(0), b"{", trade(1), None], partition=0)
    produce(topic, [trade(2, price=-1)], partition=1)
    (done,) = ingest_all(settings)
    decision = done.commit.decision
    assert (decision.rows, decision.rejects) == (2, 3)
    assert decision.balanced
    fates = {
        (p, o): locate(lake, "trades", p, o, None)["fate"]
        for p, o in [(0, 0), (0, 1), (0, 3), (1, 0)]
    }
    assert fates == {(0, 0): "row", (0, 1): "reject", (0, 3): "reject", (1, 0): "reject"}
    (reject,) = locate(lake, "trades", 1, 0, None)["rejects"]
    assert reject["payload"] == trade(2, price=-1)
    assert reject["reason"] == "impossible_value"
    assert locate(lake, "trades", 0, 99, None) == {"fate": "not planned"}


def test_messages_of_many_schema_versions_share_one_object_and_one_schema(
    settings_for, lake, broker, produce
):
    """Fields that come, go, change their type or their order with each message."""
    settings = settings_for(FEEDS)
    versions: list[dict[str, Any]] = [
        {},
        {"schema_version": 2, "conditions": ["@", "T"]},
        {"price": "101.5", "size": "3"},
        {"trade_id": 17, "exchange": {"code": "Q", "tape": 3}},
        {"venue": None, "time": "2026-01-01T00:00:00Z"},
    ]
    payloads = [trade(n, **versions[n % len(versions)]) for n in range(100)]
    produce(settings.feeds["trades"].topic, payloads, partition=0)
    (done,) = ingest_all(settings)
    decision = done.commit.decision
    assert (decision.rows, decision.rejects) == (100, 0)
    (entry,) = lake.list(layout.bronze_prefix("trades"))
    table, _ = lake.read_table(entry.key)
    assert table.schema.remove_metadata().equals(TRADES)


def test_materializing_without_config_ingests_what_waits(settings_for, lake, broker, produce):
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(100)])
    result = location().ingest()
    assert result.success
    (event,) = [
        e for e in result.get_asset_materialization_events() if e.asset_key.path[0] == "bronze"
    ]
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == 100
    assert all(e.passed for e in result.get_asset_check_evaluations())
    assert ingest_all(settings) == []


def test_a_retried_batch_writes_nothing_and_finds_the_same_object(
    settings_for, lake, broker, produce
):
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(10)])
    (first,) = ingest_all(settings)
    planner = Planner(settings)
    again, _ = run_batch(planner, "trades", first.commit.decision.plan, 2, "another-run")
    assert not again.decided_here
    assert again.commit == first.commit
    assert again.reread.same


def test_replaying_a_decided_batch_reports_what_the_topic_lost_since(
    settings_for, lake, broker, produce
):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(10)])
    (first,) = ingest_all(settings)
    planner = Planner(settings)
    planner.kafka.delete_records(topic, {0: 4})
    again, _ = run_batch(planner, "trades", first.commit.decision.plan, 2, "another-run")
    assert "has no offset 0" in str(again.reread.gone)
    assert again.commit == first.commit


def test_an_aborted_transaction_leaves_counted_holes(settings_for, lake, broker, produce):
    from confluent_kafka import Producer

    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    producer = Producer({"bootstrap.servers": broker, "transactional.id": f"tx-{topic}"})
    producer.init_transactions()
    for commit in (True, False, True):
        producer.begin_transaction()
        for number in range(5):
            producer.produce(topic, trade(number), partition=0)
        producer.flush()
        (producer.commit_transaction if commit else producer.abort_transaction)()
    wait_for_transactions(settings, topic)
    done = ingest_all(settings)
    counts = [d.commit.decision.partitions[0] for d in done]
    assert sum(c.accepted for c in counts) == 10
    assert sum(c.holes for c in counts) >= 5
    assert all(c.balanced for c in counts)


def test_a_recreated_topic_stops_the_feed_until_it_is_adopted(settings_for, lake, broker, produce):
    from kafka import KafkaAdminClient
    from typer.testing import CliRunner

    from stock_pipeline.commands.feed import feed as app
    from stock_pipeline.stack.provision import ensure_topics

    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(10)])
    ingest_all(settings)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.delete_topics([topic])
    until(lambda: topic not in admin.list_topics(), "the topic is gone")
    ensure_topics(settings.kafka, {topic: (2, 60)})
    produce(topic, [trade(n) for n in range(3)])
    planner = Planner(settings)
    tick = planner.tick("trades", planner.poll()[topic], lambda plan: [], force=True)
    # The embedded broker gives its topics no id.
    assert re.search("truncated or recreated|was recreated: its id is", tick.problem)
    assert not tick.requests
    adopted = CliRunner().invoke(app, ["adopt", "trades", "--yes"])
    assert adopted.exit_code == 0, adopted.output
    (done,) = ingest_all(settings)
    assert done.commit.decision.plan.incarnation == 2
    assert done.commit.decision.rows == 3
    assert locate(lake, "trades", 0, 1, 1)["batch"] == 0
    assert locate(lake, "trades", 0, 1, 2)["batch"] == 2


def test_a_topic_with_other_records_at_the_same_offsets_is_refused(
    settings_for, lake, broker, produce, monkeypatch
):
    """A topic recreated and refilled beyond what was read: without ids only the anchor can tell."""
    from kafka import KafkaAdminClient

    from stock_pipeline.stack.provision import ensure_topics

    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(5)])
    ingest_all(settings)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.delete_topics([topic])
    until(lambda: topic not in admin.list_topics(), "the topic is gone")
    ensure_topics(settings.kafka, {topic: (2, 60)})
    produce(topic, [trade(n, price=7) for n in range(50)])
    planner = Planner(settings)
    offsets = planner.poll()[topic]
    without_id = dataclasses.replace(offsets, topic_id=None)
    (request,) = planner.tick("trades", without_id, lambda plan: [], force=True).requests
    monkeypatch.setattr(planner.kafka, "topic_offsets", lambda topics: {topic: without_id})
    with pytest.raises(TopicChangedError, match="another record at offset 4"):
        run_batch(planner, "trades", request.plan, 1, "run")


def test_without_a_broker_there_is_one_clear_sentence(settings_for, lake):
    settings = settings_for(FEEDS).model_copy(
        update={"kafka": KafkaSettings(bootstrap_servers="127.0.0.1:9", request_timeout_seconds=1)}
    )
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:9 does not answer") as error:
        Planner(settings).poll()
    assert "nothing is lost" in str(error.value)


def test_a_new_planner_goes_on_from_the_log_alone(settings_for, lake, broker, produce):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(10)])
    ingest_all(settings)
    produce(topic, [trade(n) for n in range(10, 15)])
    (done,) = ingest_all(settings)
    assert done.commit.decision.partitions[0].start == 10
    assert done.commit.decision.plan.seq == 1


def test_a_batch_that_nobody_decided_is_decided_by_the_next_attempt(
    settings_for, lake: Lake, broker, produce
):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(10)])
    planner = Planner(settings)
    first = planner.tick("trades", planner.poll()[topic], lambda plan: [], force=True)
    (request,) = first.requests
    again = planner.tick("trades", planner.poll()[topic], lambda plan: [])
    assert [r.plan.seq for r in again.requests] == [request.plan.seq]
    config = {op_name("trades"): BatchConfig(seq=request.plan.seq, attempt=2)}
    result = location().ingest(run_config=dg.RunConfig(ops=config))
    assert result.success
    assert planner.logs["trades"].state().pending == ()


def test_a_full_disk_is_one_clear_sentence_and_the_batch_is_read_again(
    settings_for, lake, broker, produce, monkeypatch, tmp_path
):
    """/dev/full answers every write as a full disk does."""
    import tempfile
    from contextlib import nullcontext

    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(10)])
    for name in ("bronze.parquet", "quarantine.parquet"):
        (tmp_path / name).symlink_to("/dev/full")
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryDirectory", lambda prefix: nullcontext(str(tmp_path)))
        with pytest.raises(DiskFullError, match="was not decided") as error:
            ingest_all(settings)
    assert "Free space" in str(error.value)
    (done,) = [
        run_batch(planner, "trades", plan, 2, "again")[0]
        for planner in [Planner(settings)]
        for plan in planner.logs["trades"].state().pending
    ]
    assert done.commit.decision.rows == 10
