"""The arithmetic of `verify`: chains of ranges, counts, rows offset by offset."""

from __future__ import annotations

import re
from datetime import date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.ingest.documents import Commit, Decision, OffsetRange, PartitionCount, Plan
from stock_pipeline.lib.formats.arrow import TRADES
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.verify.log_checker import LogChecker, miscounts
from stock_pipeline.verify.report import Kind
from stock_pipeline.verify.rows import Tally, doubled, miscounted

AT = datetime(2026, 1, 1, 12)


def plan(seq, ranges, **changes):
    ranges = {p: OffsetRange(start=a, end=b) for p, (a, b) in ranges.items()}
    fields = {"feed": "f", "topic": "t", "planned_at": AT, "decoder_version": "1"}
    return Plan(**fields | {"seq": seq, "ranges": ranges} | changes)


def decision(made, *, rejected=0, lost=(), **changes):
    counts = {}
    for partition, r in made.ranges.items():
        gone = [OffsetRange(start=a, end=b) for a, b in lost]
        missing = sum(len(g) for g in gone)
        counts[partition] = PartitionCount(
            start=r.start,
            end=r.end,
            accepted=len(r) - rejected - missing,
            rejected=rejected,
            holes=0,
            lost=missing,
            lost_ranges=tuple(gone),
        )
    rows = sum(c.accepted for c in counts.values())
    fields = {
        "plan": made,
        "attempt": "1",
        "run_id": "r",
        "decoder_version": "1",
        "object_key": "k",
        "quarantine_key": None,
        "partitions": counts,
        "rows": rows,
        "rejects": sum(c.rejected for c in counts.values()),
        "partial_rejects": 0,
        "payload_bytes": 0,
        "trade_dates": {AT.date(): {"rows": rows, "minutes": ()}} if rows else {},
        "first_event_time": None,
        "last_event_time": None,
        "digest": "",
        "anchors": {},
    }
    return Decision(**fields | changes)


def commit(made, **changes):
    return Commit(
        decision=decision(made, **changes), object_bytes=1, object_etag="e", committed_at=AT
    )


def rows(offsets, partition=0, incarnation=1):
    row = {
        "symbol": "A",
        "event_time": AT,
        "price": 1.0,
        "size": 1.0,
        "trade_date": AT.date(),
        "kafka_partition": partition,
        "kafka_timestamp": AT,
        "incarnation": incarnation,
    }
    found = [dict.fromkeys(TRADES.names) | row | {"kafka_offset": o} for o in offsets]
    return pa.Table.from_pylist(found, TRADES)


def tally(offsets, **changes):
    counting = Tally()
    counting.add(rows(offsets, **changes))
    return counting


def check(*pairs, starts=None):
    checker = LogChecker("f", starts)
    return [f for made, done in pairs for f in checker.absorb(made, done)], checker


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_a_chain_agrees_and_a_shifted_range_is_a_gap_or_an_overlap(lengths, data):
    plans, start = [], 0
    for seq, length in enumerate(lengths):
        plans.append(plan(seq, {0: (start, start + length)}))
        start += length
    found, checker = check(*((p, commit(p)) for p in plans))
    assert found == []
    assert checker.ledgers[1, 0].balanced
    victim = data.draw(st.integers(0, len(plans) - 1))
    by = data.draw(st.sampled_from([-1, 1]))
    moved = plan(
        victim, {0: (plans[victim].ranges[0].start + by + 1, plans[victim].ranges[0].end + 1)}
    )
    # Everything one offset later, so that no start becomes negative.
    shifted = [plan(p.seq, {0: (p.ranges[0].start + 1, p.ranges[0].end + 1)}) for p in plans]
    shifted[victim] = moved
    found, checker = check(*((p, None) for p in shifted), starts={0: 1})
    assert [f.kind for f in found] == [Kind.GAP if by > 0 else Kind.OVERLAP]
    assert found[0].batch == victim


def test_an_adoption_begins_anew_and_a_replay_is_no_part_of_the_chain():
    first = plan(0, {0: (0, 10)})
    replay = plan(1, {0: (0, 10)}, kind="replay", replay_of=(0,))
    adopted = plan(2, {0: (5, 5)}, kind="adopt", incarnation=2)
    second = plan(3, {0: (5, 8)}, incarnation=2)
    found, checker = check(
        (first, commit(first)), (replay, commit(replay)), (adopted, None), (second, None)
    )
    assert found == []
    assert checker.ledgers[1, 0].offsets == 10
    assert checker.ledgers[2, 0].in_flight == 3
    assert checker.first_offset(2, 0) == 5
    without, _ = check((first, commit(first)), (second, None))
    assert [f.kind for f in without] == [Kind.GAP]
    assert "an adoption is missing" in without[0].sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rejects": 3}, "says 3 rejects, its partitions 0"),
        ({"rows": 9}, "says 9 rows, its trade_dates 10"),
        ({"partitions": {}}, r"counts partitions \[\], its plan has \[0\]"),
        (
            {"partitions": {0: PartitionCount(start=0, end=10, accepted=9, rejected=0, holes=0)}},
            "are not the 10 offsets of its range",
        ),
        (
            {"partitions": {0: PartitionCount(start=0, end=9, accepted=9, rejected=0, holes=0)}},
            "counts offsets 0 to 8 of partition 0, its plan has 0 to 9",
        ),
        (
            {
                "partitions": {
                    0: PartitionCount(start=0, end=10, accepted=8, rejected=0, holes=0, lost=2)
                }
            },
            "2 offsets are counted as lost, its lost ranges hold 0",
        ),
    ],
)
def test_numbers_of_a_decision_that_do_not_add_up_are_told(changes, words):
    made = plan(0, {0: (0, 10)})
    assert list(miscounts(decision(made))) == []
    assert any(re.search(words, s) for s in miscounts(decision(made, **changes)))


def test_rows_are_held_against_the_decision_offset_by_offset():
    made = plan(0, {0: (0, 10)})
    done = decision(made, rejected=2)
    good, rejects = tally(range(8)), tally([8, 9])

    def said(bronze, refused=rejects):
        return list(miscounted(done, bronze, refused, Tally(), "trade"))

    assert said(good) == []
    assert doubled(done, good, "trade") is None
    assert any("decided 8 rows, its objects hold 7" in s for s in said(tally(range(7))))
    assert any("lie outside its range" in s for s in said(tally([*range(7), 10])))
    assert any("are a row and a reject" in s for s in said(tally([*range(7), 9])))
    assert any("incarnation [2]" in s for s in said(tally(range(8), incarnation=2)))
    assert any("partition 3, which it did not" in s for s in said(tally(range(8), partition=3)))
    twice = doubled(done, tally([0, *range(8)]), "trade")
    assert "has 1 rows twice, first offset 0 of partition 0" in twice
    lost = decision(made, rejected=2, lost=[(0, 3)])
    found = list(miscounted(lost, tally(range(2, 7)), rejects, Tally(), "trade"))
    assert any("offsets 0 to 2 are lost, yet accepted" in s for s in found)
    other = done.model_copy(update={"trade_dates": {date(2026, 1, 2): done.trade_dates[AT.date()]}})
    found = list(miscounted(other, good, rejects, Tally(), "trade"))
    assert any("counts the rows of trade_date 2026-01-01 otherwise" in s for s in found)


def test_a_document_may_have_many_rows_of_one_offset():
    made = plan(0, {0: (0, 2)})
    many = tally([0, 0, 0, 1])
    done = decision(made, rows=4, trade_dates={AT.date(): {"rows": 4, "minutes": ()}})
    assert doubled(done, many, "alpha_vantage_intraday") is None
    assert list(miscounted(done, many, Tally(), Tally(), "alpha_vantage_intraday")) == []


def test_numbers_have_their_nouns():
    assert [counted(n, "batch") for n in (0, 1, 2000)] == ["0 batches", "1 batch", "2,000 batches"]
