"""A topic that is deleted, or deleted and made again, between the plan and the read of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from stock_pipeline.commands.feed import feed as feed_command
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.kafka.reader import RangeReader
from stock_pipeline.stack.provision import ensure_topics
from stock_pipeline_tests.integration.apache.ledger import ledger
from stock_pipeline_tests.integration.apache.test_records import topic_of
from stock_pipeline_tests.support.one_batch import ONE_PARTITION, decide, delete, plan_one
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade


@pytest.mark.parametrize("decided", [0, 10], ids=["never-read", "read-before"])
def test_a_topic_made_again_between_plan_and_read_is_not_read_as_the_old_one(
    settings_for, lake, broker, produce, decided
):
    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    produce(topic, [trade(n) for n in range(decided)])
    ingest_all(settings)
    produce(topic, [trade(n) for n in range(decided, decided + 5)])
    planner = Planner(settings)
    request = plan_one(planner, topic)
    delete(broker, topic)
    ensure_topics(settings.kafka, {topic: (1, 60)})
    # The same offsets, other records: only the topic's id tells.
    produce(topic, [trade(n, price=7) for n in range(decided + 5)])
    with pytest.raises(TopicChangedError, match="was recreated: its id is"):
        decide(planner, request)
    assert len(ledger(settings).rows) == decided
    tick = planner.tick("trades", planner.poll()[topic], lambda plan: [], force=True)
    assert "stock-pipeline feed adopt trades" in tick.problem
    adopted = CliRunner().invoke(feed_command, ["adopt", "trades", "--yes"])
    assert adopted.exit_code == 0, adopted.output
    ingest_all(settings)
    found = ledger(settings)
    rows = [(row["incarnation"], row["price"]) for row in found.rows]
    assert [price for life, price in rows if life == 2] == [7.0] * (decided + 5)
    # What was planned of the first life is lost, and says so.
    assert [d.partitions[0].lost for d in found.decisions if d.plan.seq == request.plan.seq] == [5]


def test_a_topic_deleted_between_plan_and_read_is_one_clear_sentence(
    settings_for, lake, broker, produce
):
    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    produce(topic, [trade(n) for n in range(5)])
    planner = Planner(settings)
    request = plan_one(planner, topic)
    delete(broker, topic)
    with pytest.raises(KafkaUnavailableError, match=f"Topic {topic} does not exist"):
        decide(planner, request)
    tick = planner.tick("trades", planner.poll()[topic], lambda plan: [], force=True)
    assert "does not exist" in tick.problem
    assert ledger(settings).decisions == []


def test_a_topic_made_again_while_a_batch_reads_it_is_not_mixed_into_the_batch(
    settings_for, lake, broker, produce, monkeypatch
):
    """One partition is read from the old topic; the other would be from the new one."""
    settings = settings_for(FEEDS, kafka={"request_timeout_seconds": 5.0})
    topic = topic_of(settings)
    for partition in (0, 1):
        produce(topic, [trade(n) for n in range(5)], partition=partition)
    planner = Planner(settings)
    request = plan_one(planner, topic)
    read = RangeReader.read

    def recreated_before(self: RangeReader, partition: int, start: int, end: int) -> Iterator[Any]:
        if partition == 1:
            monkeypatch.setattr(RangeReader, "read", read)
            delete(broker, topic)
            ensure_topics(settings.kafka, {topic: (2, 60)})
            for number in (0, 1):
                produce(topic, [trade(n, price=7) for n in range(5)], partition=number)
        yield from read(self, partition, start, end)

    monkeypatch.setattr(RangeReader, "read", recreated_before)
    with pytest.raises(TopicChangedError, match="was recreated: its id is"):
        decide(planner, request)
    assert ledger(settings).decisions == []
