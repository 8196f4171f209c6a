"""The embedded broker is kept small without losing what nobody has read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stock_pipeline.ingest.documents import OffsetRange
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.stack import trim
from stock_pipeline.stack.trim import KEPT_RECORDS, Trimmer, deletable_below
from stock_pipeline_tests.support.planning import planned, topic
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade

STATE = LogState("f", next_seq=1, next_offsets={0: 10_000, 1: 50})


def test_the_newest_decided_records_stay():
    assert deletable_below(STATE) == {0: 10_000 - KEPT_RECORDS, 1: 0}


def test_what_a_batch_has_not_decided_stays():
    plan = planned(LogState("f"), topic(10)).model_copy(
        update={"ranges": {0: OffsetRange(start=3_000, end=10_000)}}
    )
    assert deletable_below(replace(STATE, pending=(plan,)))[0] == 3_000 - KEPT_RECORDS


@pytest.mark.broker_semantics
def test_trimming_deletes_decided_records_and_ingest_goes_on(
    settings_for, lake, broker, produce, monkeypatch
):
    monkeypatch.setattr(trim, "KEPT_RECORDS", 10)
    settings = settings_for(FEEDS)
    name = settings.feeds["trades"].topic
    produce(name, [trade(n) for n in range(100)])
    assert Trimmer(settings).trim() == {}
    ingest_all(settings)
    assert Trimmer(settings).trim() == {name: 90}
    offsets = Planner(settings).poll()[name]
    assert offsets is not None
    assert (offsets.partitions[0].beginning, offsets.partitions[0].end) == (90, 100)
    produce(name, [trade(n) for n in range(100, 105)])
    (done,) = ingest_all(settings)
    assert done.commit.decision.partitions[0].accepted == 5
    assert done.commit.decision.partitions[0].lost == 0
