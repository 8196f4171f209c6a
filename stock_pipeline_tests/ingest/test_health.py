"""What a topic's offsets and its feed's log say together."""

from __future__ import annotations

from datetime import datetime

from stock_pipeline.ingest.documents import OffsetRange, Plan
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.topics import health as topic_health
from stock_pipeline.ingest.topics.health import Findings, first_unread, topic_problems
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets


def plan(seq: int, start: int, end: int, **changes: object) -> Plan:
    given = {
        "feed": "f",
        "topic": "t",
        "seq": seq,
        "planned_at": datetime(2026, 11, 20),
        "decoder_version": "1",
        "ranges": {0: OffsetRange(start=start, end=end)},
    }
    return Plan.model_validate(given | changes)


def topic(end: int, beginning: int = 0, high_watermark: int | None = None) -> TopicOffsets:
    return TopicOffsets(None, {0: PartitionOffsets(beginning, end, high_watermark)})


def problem(check: str, state: LogState, offsets: TopicOffsets, **findings: object) -> str:
    return topic_problems(state, "t", offsets, Findings(**findings))[check]  # type: ignore[arg-type]


def test_planned_records_are_unread_until_their_batch_is_decided():
    decided = LogState("f", next_offsets={0: 20})
    assert first_unread(decided, topic(20)) == {}
    assert first_unread(decided, topic(25)) == {0: 20}
    pending = LogState("f", next_offsets={0: 20}, pending=(plan(3, 10, 15), plan(4, 15, 20)))
    assert first_unread(pending, topic(20)) == {0: 10}
    assert first_unread(pending, topic(20, beginning=12)) == {0: 12}
    assert first_unread(LogState("f"), topic(5, beginning=2)) == {0: 2}


def test_what_is_read_again_or_was_given_up_is_not_unread():
    again = plan(3, 5, 10, kind="replay", replay_of=(1,))
    assert first_unread(LogState("f", next_offsets={0: 20}, pending=(again,)), topic(20)) == {}
    before = LogState("f", incarnation=2, next_offsets={0: 20}, pending=(plan(3, 5, 10),))
    assert first_unread(before, topic(20)) == {}


def test_a_healthy_topic_has_no_problem_and_a_missing_one_has_one():
    state = LogState("f", next_offsets={0: 20})
    assert set(topic_problems(state, "t", topic(20), Findings()).values()) == {""}
    (missing,) = topic_problems(state, "t", None, Findings()).values()
    assert "does not exist" in missing


def test_a_loss_is_told_with_its_range_before_and_after_it_is_planned():
    state = LogState("f", next_offsets={0: 20})
    now = problem(topic_health.NOTHING_LOST, state, topic(40, beginning=30))
    assert now == "partition 0: offsets 20 to 29 were deleted before they were planned"
    assert problem(topic_health.NOTHING_LOST, state, topic(20), recent_losses=("x",)) == "x"


def test_an_open_transaction_hangs_when_it_is_long_or_old():
    def said(written: int, seconds: float) -> str:
        offsets = topic(10, high_watermark=written)
        state = LogState("f", next_offsets={0: 10})
        return problem(
            topic_health.NO_HUNG_TRANSACTION, state, offsets, blocked_seconds={0: seconds}
        )

    assert said(11, 60) == ""
    assert "written up to 11 for 30 min" in said(11, 1800)
    assert "readable up to 10" in said(200_000, 1)
    assert said(10, 0) == ""


def test_the_time_that_is_left_is_told_in_units_that_people_use():
    state = LogState("f", next_offsets={0: 20})
    for seconds, words in ((3.0, "in 3 s;"), (600.0, "in 10 min;"), (9000.0, "in 2.5 h;")):
        said = problem(topic_health.TIME_LEFT, state, topic(25), seconds_left=seconds)
        assert words in said
