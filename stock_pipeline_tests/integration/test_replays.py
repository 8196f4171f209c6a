"""Records that are decided again, through the command line, a real topic and a real lake."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from stock_pipeline.catalogue.query import query
from stock_pipeline.cli import app
from stock_pipeline.ingest.decide import Ingested
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.ingest.where import locate
from stock_pipeline.lake import layout
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.publish import TableBuilder
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade

pytestmark = pytest.mark.broker_semantics

STRICT = {"trades": FEEDS["trades"] | {"max_message_bytes": 150}}
LONG = {"venue": "X" * 200}


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def run_pending(settings: Any, feed: str = "trades") -> list[Ingested]:
    """What the sensor and its runs do with plans that a person wrote."""
    planner = Planner(settings)
    plans = planner.logs[feed].state().pending
    return [run_batch(planner, feed, plan, 1, f"run-of-{plan.seq}")[0] for plan in plans]


def mended(settings: Any) -> Any:
    """The settings after the feed's limit was raised."""
    feed = settings.feeds["trades"].model_copy(update={"max_message_bytes": 10_000})
    return settings.model_copy(update={"feeds": {"trades": feed}})


def rows(settings: Any, lake: Any) -> list[tuple[int, int]]:
    found = query(settings, lake, 'SELECT kafka_partition, kafka_offset FROM bronze."trades"')
    return sorted(tuple(row.values()) for row in found.to_pylist())


def due(settings: Any, lake: Any, tmp_path: Any) -> list[str]:
    index = TableIndex(settings, lake, tmp_path / "index.sqlite")
    index.catch_up()
    try:
        return [p for table, p in index.due() if table is BARS_INTRADAY_TABLE]
    finally:
        index.close()


def test_rejects_come_back_once_as_rows_and_their_silver_becomes_due(
    settings_for, lake, produce, tmp_path
):
    settings = settings_for(STRICT)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(0), trade(1, **LONG), b"{", trade(3)], partition=0)
    produce(topic, [trade(4, **LONG)], partition=1)
    (first,) = ingest_all(settings)
    assert (first.commit.decision.rows, first.commit.decision.rejects) == (2, 3)
    (day,) = due(settings, lake, tmp_path)
    TableBuilder(settings, lake, "refresh").build(BARS_INTRADAY_TABLE, day)
    assert due(settings, lake, tmp_path) == []

    listed = json.loads(run("quarantine", "list", "--json"))
    assert {(line["reason"], line["rejects"]) for line in listed} == {
        ("too_large", 2),
        ("not_json", 1),
    }
    shown = run("quarantine", "show", "trades", "--reason", "not_json")
    assert "partition 0 offset 2" in shown
    said = run("quarantine", "replay", "trades", "--reason", "too_large", "--yes", "--no-wait")
    assert "Rejects of batch 0 come back as batch 1." in said

    settings = mended(settings)
    (again,) = run_pending(settings)
    decision = again.commit.decision
    assert (decision.rows, decision.rejects, decision.supersedes) == (2, 0, ())
    assert decision.balanced
    assert rows(settings, lake) == [(0, 0), (0, 1), (0, 3), (1, 0)]
    assert due(settings, lake, tmp_path) == [day]
    assert locate(lake, "trades", 0, 1, None)["batch"] == 1
    assert locate(lake, "trades", 0, 2, None)["fate"] == "reject"

    said = run("quarantine", "replay", "trades", "--reason", "too_large", "--yes", "--no-wait")
    assert "No such rejects wait." in said
    assert json.loads(run("quarantine", "list", "--json"))[0]["reason"] == "not_json"


def test_what_is_rejected_again_waits_in_quarantine_again(settings_for, lake, produce):
    settings = settings_for(STRICT)
    produce(settings.feeds["trades"].topic, [trade(0), b"{"])
    ingest_all(settings)
    for _ in range(2):
        run("quarantine", "replay", "trades", "--yes", "--no-wait")
        (again,) = run_pending(settings)
        assert again.commit.decision.rejects == 1
    (line,) = json.loads(run("quarantine", "list", "--json"))
    assert (line["batch"], line["rejects"]) == (2, 1)


def test_a_superseding_batch_takes_the_place_of_the_old_rows(settings_for, lake, produce, tmp_path):
    settings = settings_for(STRICT)
    produce(settings.feeds["trades"].topic, [trade(0), trade(1, **LONG), trade(2)])
    (first,) = ingest_all(settings)
    assert first.commit.decision.rejects == 1
    (day,) = due(settings, lake, tmp_path)
    builder = TableBuilder(settings, lake, "refresh")
    builder.build(BARS_INTRADAY_TABLE, day)

    assert "Batch 0 is read again as batch 1." in run(
        "batch", "supersede", "trades", "0", "--yes", "--no-wait"
    )
    settings = mended(settings)
    (again,) = run_pending(settings)
    assert again.commit.decision.supersedes == (0,)
    assert rows(settings, lake) == [(0, 0), (0, 1), (0, 2)]
    assert query(settings, lake, 'SELECT * FROM quarantine."trades"').num_rows == 0
    assert locate(lake, "trades", 0, 0, None)["batch"] == 1
    assert due(settings, lake, tmp_path) == [day]
    built = TableBuilder(settings, lake, "refresh").build(BARS_INTRADAY_TABLE, day)
    table, _ = lake.read_table(built.key)
    assert sum(table["trade_count"].to_pylist()) == 3
    refused = run("batch", "supersede", "trades", "0", "--yes", "--no-wait", code=1)
    assert "was replaced by batch 1" in refused


def test_a_batch_that_kafka_lost_while_it_waited_keeps_its_rows(settings_for, lake, produce):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(4)])
    ingest_all(settings)
    run("batch", "supersede", "trades", "0", "--yes", "--no-wait")
    Planner(settings).kafka.delete_records(topic, {0: 2})
    (again,) = run_pending(settings)
    assert again.commit.decision.supersedes == ()
    assert again.commit.decision.rows == 0
    assert len(rows(settings, lake)) == 4
    assert locate(lake, "trades", 0, 3, None)["batch"] == 0
    refused = run("batch", "supersede", "trades", "0", "--yes", "--no-wait", code=1)
    assert "no longer has all records" in refused


def test_rejects_of_an_attempt_that_decided_nothing_are_seen_by_nobody(settings_for, lake, produce):
    settings = settings_for(FEEDS)
    produce(settings.feeds["trades"].topic, [trade(0), b"{"])
    (first,) = ingest_all(settings)
    left = layout.attempt_key("trades", 0, "1-anotherrun")
    lake.copy(layout.attempt_key("trades", 0, first.commit.decision.attempt), left)
    assert query(settings, lake, 'SELECT * FROM quarantine."trades"').num_rows == 1
    assert Planner(settings).logs["trades"].sweep_attempts() == 2
    assert lake.head(left) is None


def test_a_topic_that_is_still_the_same_is_neither_adopted_nor_read_twice(
    settings_for, lake, produce
):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(4)])
    ingest_all(settings)
    assert "would bring every record twice" in run("feed", "adopt", "trades", "--yes", code=1)
    assert "would bring its records twice" in run(
        "feed", "reset", "trades", "--to", "earliest", "--yes", code=1
    )
    assert "neither earliest, latest nor a time" in run(
        "feed", "reset", "trades", "--to", "yesterday", code=2
    )


def test_a_reset_to_latest_leaves_out_what_waits(settings_for, lake, produce):
    settings = settings_for(FEEDS)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(4)])
    ingest_all(settings)
    produce(topic, [trade(n) for n in range(4, 9)])
    assert "5 offsets before that are never read" in run(
        "feed", "reset", "trades", "--to", "latest", "--yes"
    )
    produce(topic, [trade(9)])
    (done,) = ingest_all(settings)
    assert (done.commit.decision.rows, done.commit.decision.plan.incarnation) == (1, 2)
    assert locate(lake, "trades", 0, 9, None)["fate"] == "row"
    assert locate(lake, "trades", 0, 5, None) == {"fate": "not planned"}
    assert locate(lake, "trades", 0, 3, 1)["fate"] == "row"
