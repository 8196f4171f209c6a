"""Planning of offset ranges, one decision at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stock_pipeline.ingest.documents import OffsetRange
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.log_state import LogState, fold
from stock_pipeline.ingest.offsets import NoPlan, Triggers, adopt, lag, plan_next
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets
from stock_pipeline_tests.support.planning import KNOWN, NOW, TRIGGERS, planned, topic


def refused(state: LogState, offsets: TopicOffsets, triggers: Triggers = TRIGGERS, **kw) -> NoPlan:
    reason = plan_next(
        state, offsets, triggers, topic="t", decoder_version="1", **{"now": NOW} | kw
    )
    assert isinstance(reason, NoPlan)
    return reason


def test_the_first_plan_of_a_feed_starts_at_the_beginning_and_waits_for_nothing():
    plan = planned(LogState("f"), topic(3, 5, beginning=2))
    assert plan.seq == 0
    assert plan.ranges == {0: OffsetRange(start=2, end=3), 1: OffsetRange(start=2, end=5)}


def test_a_plan_goes_on_where_the_last_one_ended():
    assert planned(KNOWN, topic(500)).ranges == {0: OffsetRange(start=50, end=500)}


def test_few_records_wait_until_the_last_plan_is_old_enough():
    assert refused(KNOWN, topic(51)) == NoPlan(1, seconds=10)
    later = NOW + timedelta(seconds=10)
    assert planned(KNOWN, topic(51), now=later).length == 1


def test_a_clock_set_back_does_not_stop_a_feed():
    assert planned(KNOWN, topic(51), now=NOW - timedelta(days=1)).length == 1


def test_an_idle_topic_is_never_planned():
    assert refused(KNOWN, topic(50), now=NOW + timedelta(days=1)) == NoPlan(0)


def test_a_plan_is_capped_by_records_and_small_partitions_go_whole():
    plan = planned(KNOWN, topic(60, 5000, 5000))
    assert plan.length == 1000
    assert plan.ranges[0] == OffsetRange(start=50, end=60)
    assert len(plan.ranges[1]) == len(plan.ranges[2]) == 495


def test_a_plan_is_capped_by_bytes_that_the_last_batch_teaches():
    state = replace(KNOWN, bytes_per_record=1e6)
    assert planned(state, topic(5000), replace(TRIGGERS, max_bytes=20_000_000)).length == 20


def test_one_record_larger_than_the_cap_is_still_planned():
    state = replace(KNOWN, bytes_per_record=1e9)
    assert planned(state, topic(5000), replace(TRIGGERS, max_bytes=1000)).length == 1


def test_a_new_partition_starts_at_its_beginning():
    plan = planned(KNOWN, topic(500, 700, beginning=20))
    assert plan.ranges[1].start == 20


def test_offsets_that_retention_removed_stay_inside_the_range():
    plan = planned(KNOWN, topic(500, beginning=200))
    assert plan.ranges == {0: OffsetRange(start=50, end=500)}


def test_a_loss_without_new_records_is_planned_too():
    plan = planned(KNOWN, topic(200, beginning=200), now=NOW + timedelta(seconds=11))
    assert plan.ranges == {0: OffsetRange(start=50, end=200)}


def test_batches_in_flight_are_bounded():
    pending = tuple(planned(LogState("f", next_seq=s), topic(10)) for s in range(2))
    assert refused(replace(KNOWN, pending=pending), topic(5000)) == NoPlan(4950, in_flight=2)


@pytest.mark.parametrize(
    ("offsets", "says"),
    [
        (topic(500, topic_id="b"), "recreated"),
        (topic(49), "ends at offset 49"),
        (TopicOffsets("a", {1: PartitionOffsets(0, 5)}), "no partition 0"),
    ],
)
def test_a_topic_that_is_not_the_one_that_was_read_is_refused(offsets: TopicOffsets, says: str):
    with pytest.raises(TopicChangedError, match=says) as refusal:
        planned(KNOWN, offsets)
    assert "stock-pipeline feed adopt f" in str(refusal.value)


def test_an_open_transaction_is_no_truncation():
    hung = TopicOffsets("a", {0: PartitionOffsets(0, 40, 60)})
    assert refused(KNOWN, hung) == NoPlan(0)


def test_an_adopted_topic_is_read_from_its_beginning_in_a_new_incarnation():
    opened = adopt(KNOWN, topic(9, topic_id="b"), topic="t", decoder_version="1", now=NOW)
    first = planned(LogState("f"), topic(50))
    state = fold("f", None, [first.model_copy(update={"seq": 0}), opened], {})
    assert state.incarnation == 2
    assert state.topic_id == "b"
    later = NOW + timedelta(seconds=10)
    assert planned(state, topic(9, topic_id="b"), now=later).ranges == {
        0: OffsetRange(start=0, end=9)
    }


def test_lag_counts_what_no_plan_covers():
    assert lag(KNOWN, topic(60, 7)) == {0: 10, 1: 7}
