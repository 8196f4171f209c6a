"""Plans that decide records again, and what their decisions replace."""

from __future__ import annotations

from datetime import datetime

import pytest

from stock_pipeline.ingest.documents import Commit, Decision, OffsetRange, PartitionCount, Plan
from stock_pipeline.ingest.log_state import LogState, checkpoint_of, fold
from stock_pipeline.ingest.offsets import Triggers, plan_next
from stock_pipeline.ingest.rejects.rereads import (
    RereadError,
    outcome,
    requeue,
    reread_offsets,
    supersede,
)
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets

NOW = datetime(2026, 11, 21)
TOPIC = TopicOffsets("id", {0: PartitionOffsets(0, 20, 20)})
AGAIN = {"decoder_version": "2", "now": NOW}


def batch(seq: int, start: int, end: int, rejected: int = 0, incarnation: int = 1) -> Decision:
    plan = Plan(
        feed="trades",
        topic="trades",
        seq=seq,
        incarnation=incarnation,
        topic_id="id",
        planned_at=NOW,
        decoder_version="1",
        ranges={0: OffsetRange(start=start, end=end)},
    )
    return decided(plan, rejected=rejected)


def decided(plan: Plan, rejected: int = 0, lost: int = 0) -> Decision:
    ((partition, offsets),) = plan.ranges.items()
    named = plan.offsets
    records = sum(len(r) for r in named[partition]) if named else len(offsets) - lost
    count = PartitionCount(
        start=offsets.start,
        end=offsets.end,
        accepted=records - rejected,
        rejected=rejected,
        holes=len(offsets) - records - lost,
        lost=lost,
        lost_ranges=(offsets,) if lost else (),
    )
    return Decision(
        plan=plan,
        attempt="1",
        run_id="run",
        decoder_version=plan.decoder_version,
        object_key="bronze",
        quarantine_key="quarantine" if rejected else None,
        partitions={partition: count},
        rows=count.accepted,
        rejects=rejected,
        partial_rejects=0,
        payload_bytes=records,
        trade_dates={},
        first_event_time=None,
        last_event_time=None,
        digest="digest",
        anchors={},
    )


def state_of(*decisions: Decision | Plan) -> LogState:
    plans = [d if isinstance(d, Plan) else d.plan for d in decisions]
    commits = {
        d.plan.seq: Commit(decision=d, object_bytes=1, object_etag="e", committed_at=NOW)
        for d in decisions
        if isinstance(d, Decision)
    }
    return fold("trades", None, plans, commits)


def test_a_superseding_batch_has_the_ranges_of_the_old_one_and_moves_no_offset():
    old = batch(0, 0, 10)
    plan = supersede(state_of(old), old, TOPIC, **AGAIN)
    assert (plan.kind, plan.seq, plan.replay_of, plan.ranges) == (
        "replay",
        1,
        (0,),
        old.plan.ranges,
    )
    state = state_of(old, decided(plan))
    assert state.next_offsets == {0: 10}
    assert state.superseded == {0: 1}
    assert outcome(decided(plan)).startswith("batch 0 is replaced")


def test_a_batch_that_is_replaced_or_about_to_be_is_not_replaced_again():
    old = batch(0, 0, 10)
    plan = supersede(state_of(old), old, TOPIC, **AGAIN)
    with pytest.raises(RereadError, match="is being replaced by batch 1"):
        supersede(state_of(old, plan), old, TOPIC, **AGAIN)
    new = decided(plan)
    with pytest.raises(RereadError, match="was replaced by batch 1: name that one"):
        supersede(state_of(old, new), old, TOPIC, **AGAIN)
    assert supersede(state_of(old, new), new, TOPIC, **AGAIN).replay_of == (1,)


def test_a_replay_that_lost_records_replaces_nothing_and_may_be_asked_for_again():
    old = batch(0, 0, 10)
    empty = decided(supersede(state_of(old), old, TOPIC, **AGAIN), lost=10)
    state = state_of(old, empty)
    assert empty.supersedes == ()
    assert state.superseded == {}
    assert "stays as it is" in outcome(empty)
    assert supersede(state, old, TOPIC, **AGAIN).seq == 2


@pytest.mark.parametrize(
    ("offsets", "sentence"),
    [
        (TopicOffsets("id", {0: PartitionOffsets(3, 20, 20)}), "has offsets from 3 on"),
        (TopicOffsets("id", {1: PartitionOffsets(0, 20, 20)}), "has nothing"),
        (
            TopicOffsets("other", {0: PartitionOffsets(0, 20, 20)}),
            "an earlier incarnation of topic",
        ),
    ],
)
def test_what_kafka_no_longer_has_is_not_read_again(offsets, sentence):
    old = batch(0, 0, 10)
    with pytest.raises(RereadError, match=sentence):
        supersede(state_of(old), old, offsets, **AGAIN)


def test_rejects_come_back_once():
    old = batch(0, 0, 10, rejected=4)
    plan = requeue(state_of(old), old, {0: [2, 3, 7]}, **AGAIN)
    assert plan
    assert plan.offsets == {0: (OffsetRange(start=2, end=4), OffsetRange(start=7, end=8))}
    assert plan.ranges == {0: OffsetRange(start=2, end=8)}
    for state in (state_of(old, plan), state_of(old, decided(plan))):
        assert reread_offsets(state, 0) == {0: {2, 3, 7}}
        assert requeue(state, old, {0: [2, 3, 7]}, **AGAIN) is None
        rest = requeue(state, old, {0: [2, 3, 7, 9]}, **AGAIN)
        assert rest
        assert rest.offsets == {0: (OffsetRange(start=9, end=10),)}


def test_what_is_rejected_again_waits_in_the_batch_that_rejected_it_last():
    old = batch(0, 0, 10, rejected=1)
    plan = requeue(state_of(old), old, {0: [5]}, **AGAIN)
    assert plan
    again = decided(plan, rejected=1)
    state = state_of(old, again)
    third = requeue(state, again, {0: [5]}, **AGAIN)
    assert third
    assert third.replay_of == (1,)
    with pytest.raises(RereadError, match="came from quarantine"):
        supersede(state, again, TOPIC, **AGAIN)


def test_rejects_that_came_back_keep_their_batch_from_being_read_whole():
    old = batch(0, 0, 10, rejected=1)
    plan = requeue(state_of(old), old, {0: [5]}, **AGAIN)
    assert plan
    with pytest.raises(RereadError, match="would bring them twice"):
        supersede(state_of(old, decided(plan)), old, TOPIC, **AGAIN)


def test_a_checkpoint_remembers_what_came_back():
    old = batch(0, 0, 10, rejected=1)
    plan = requeue(state_of(old), old, {0: [5]}, **AGAIN)
    assert plan
    checkpoint = checkpoint_of(state_of(old, decided(plan)))
    assert checkpoint
    state = fold(
        "trades", type(checkpoint).model_validate_json(checkpoint.model_dump_json()), [], {}
    )
    assert requeue(state, old, {0: [5]}, **AGAIN) is None


def test_a_replay_that_hangs_keeps_no_new_record_waiting():
    old = batch(0, 0, 10, rejected=1)
    plan = requeue(state_of(old), old, {0: [5]}, **AGAIN)
    assert plan
    state = state_of(old, plan)
    assert state.pending == (plan,)
    triggers = Triggers(1, 0, 100, 10**9, max_batches_in_flight=1)
    following = plan_next(state, TOPIC, triggers, topic="trades", decoder_version="2", now=NOW)
    assert isinstance(following, Plan)
    assert following.ranges == {0: OffsetRange(start=10, end=20)}
