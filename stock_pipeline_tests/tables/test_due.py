"""The due rule, against a model that remembers everything."""

from __future__ import annotations

import itertools
from datetime import date, datetime

from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.ingest.documents import Decision, Plan, TradeDateSpan
from stock_pipeline.lib.intervals import Numbers, covers, merged, overlap, with_numbers
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    CORPORATE_ACTIONS_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    NEWS_TABLE,
    SENTIMENT_DAILY_TABLE,
    TABLES,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.tables.due import (
    Batch,
    Made,
    Touch,
    Want,
    batch_of,
    due,
    is_due,
    key_of,
    touches_of,
)
from stock_pipeline.tables.made_from import MadeFrom

DEFINITIONS = {table.name: "d1" for table in TABLES.values()}
INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


def numbers(intervals):
    return {n for start, end in intervals for n in range(start, end)}


@given(INTERVALS)
def test_merged_intervals_hold_the_same_numbers_and_leave_gaps_between_them(intervals):
    result = merged(intervals)
    assert numbers(result) == numbers(intervals)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(result))


@given(INTERVALS, st.sets(st.integers(0, 50)))
def test_added_numbers_are_covered_and_no_others(intervals, added):
    result = with_numbers(intervals, added)
    assert numbers(result) == numbers(intervals) | added
    assert all(covers(result, n) == (n in numbers(result)) for n in range(60))


@given(INTERVALS, INTERVALS)
def test_intervals_overlap_when_they_share_a_number(a, b):
    a, b = merged(a), merged(b)
    assert overlap(a, b) == bool(numbers(a) & numbers(b))


@given(st.lists(st.integers(0, 30)))
def test_numbers_added_in_any_order_are_known_and_the_first_gap_is_low(added):
    known = Numbers()
    for number in added:
        known.add([number])
    assert all((n in known) == (n in added) for n in range(40))
    assert known.low == min(set(range(40)) - set(added))
    assert numbers(known.intervals) == set(added)


DAYS = ["2024-12-30", "2024-12-31", "2025-01-02"]
FEEDS = {
    "t": "trade",
    "d": "index_daily",
    "b": "bar",
    "a": "corporate_action",
    "n": "alpha_vantage_news",
}
BATCHES = st.lists(
    st.tuples(
        st.sampled_from(sorted(FEEDS)),
        st.dictionaries(st.sampled_from(DAYS), st.tuples(st.integers(1, 5), st.booleans())),
    ),
    max_size=10,
)


def world(drawn):
    """Batches with sequence numbers per feed."""
    seqs = dict.fromkeys(FEEDS, 0)
    batches = []
    for feed, days in drawn:
        spans = {
            day: TradeDateSpan(rows=n, minutes=((1, 2),), daily_rows=n if whole else 0)
            for day, (n, whole) in days.items()
        }
        batches.append(Batch(feed, seqs[feed], touches_of(FEEDS[feed], spans)))
        seqs[feed] += 1
    return batches


def make_all(batches, objects, definitions=DEFINITIONS):
    """Make what is due, in order, like a refresh run; how often each was made."""
    made = []
    version = iter(range(10_000))
    for table, partition, want in due(batches, objects, definitions):
        key = key_of(table, partition)
        known = objects[key].made_from if key in objects else MadeFrom()
        examined = {
            feed: with_numbers(
                known.examined.get(feed, ()), [b.seq for b in batches if b.feed == feed]
            )
            for feed in FEEDS
        }
        state = f"state of {want.digest}"
        made_from = MadeFrom(
            examined=examined if table.layer == "silver" else {},
            etags=dict(want.etags),
            state_before=want.state_before,
            state_digest=state if table is VOLATILITY_DAILY_TABLE else "",
            definition=want.definition,
        )
        objects[key] = Made(f"{key}-{len(objects)}-{next(version)}-{len(made)}", made_from)
        made.append((table.name, partition))
    return made


@given(BATCHES)
def test_after_one_pass_nothing_is_due(drawn):
    batches, objects = world(drawn), {}
    made = make_all(batches, objects)
    assert len(made) == len(set(made))
    assert list(due(batches, objects, DEFINITIONS)) == []


@given(BATCHES, BATCHES)
def test_what_new_batches_touch_becomes_due_and_with_it_what_reads_it(before, after):
    objects = {}
    make_all(world(before), objects)
    everything = world(before + after)
    new = {(b.feed, b.seq) for b in everything} - {(b.feed, b.seq) for b in world(before)}
    touched = {
        (t.table, t.partition) for b in everything if (b.feed, b.seq) in new for t in b.touches
    }
    made = set(make_all(everything, objects))
    assert touched <= made
    days = {p for name, p in made if name == BARS_INTRADAY_TABLE.name}
    years = {p for name, p in made if name == BARS_DAILY_TABLE.name}
    assert {d[:4] for d in days} <= years
    assert {(VOLATILITY_INTRADAY_TABLE.name, d) for d in days} <= made
    assert {(DAILY_AVERAGE_PRICE_TABLE.name, y) for y in years} <= made
    assert {(VOLATILITY_DAILY_TABLE.name, y) for y in years} <= made


@given(BATCHES, st.sampled_from(list(TABLES.values())))
def test_a_changed_definition_makes_every_partition_of_its_table_due(drawn, table):
    batches, objects = world(drawn), {}
    make_all(batches, objects)
    changed = DEFINITIONS | {table.name: "d2"}
    mine = {partition for t, partition, _ in due(batches, objects, changed) if t is table}
    assert mine == {k.split("=")[1].split("/")[0] for k in objects if f"/{table.name}/" in k}


def test_a_year_whose_state_changed_makes_the_next_one_due_in_the_same_pass():
    objects = {
        key_of(BARS_DAILY_TABLE, year): Made(year, MadeFrom(definition="d1"))
        for year in ("1990", "1995")
    }
    make_all([], objects)
    assert list(due([], objects, DEFINITIONS)) == []
    key = key_of(BARS_DAILY_TABLE, "1990")
    objects[key] = Made("another", MadeFrom(definition="d1"))
    made = [p for name, p in make_all([], objects) if name == VOLATILITY_DAILY_TABLE.name]
    assert made == ["1990", "1995"]


def test_a_refused_result_is_not_due_again_until_its_inputs_change():
    batches = [Batch("t", 0, (Touch(BARS_INTRADAY_TABLE.name, "2024-12-30", 1),))]
    ((_, _, want),) = due(batches, {}, DEFINITIONS)
    key = key_of(BARS_INTRADAY_TABLE, "2024-12-30")
    assert list(due(batches, {}, DEFINITIONS, {key: want.digest})) == []
    more = [*batches, Batch("t", 1, (Touch(BARS_INTRADAY_TABLE.name, "2024-12-30", 1),))]
    assert len(list(due(more, {}, DEFINITIONS, {key: want.digest}))) == 1


def test_a_partition_without_object_and_inputs_is_not_due():
    assert not is_due(Want(definition="d1"), None)


def test_a_daily_bar_of_a_bar_feed_touches_the_year_only():
    span = TradeDateSpan(rows=3, minutes=((1, 2),), daily_rows=3)
    assert touches_of("bar", {"2024-12-30": span}) == (Touch(BARS_DAILY_TABLE.name, "2024", 3),)


def test_a_batch_that_supersedes_touches_what_the_old_one_did():
    plan = Plan(
        kind="replay",
        feed="t",
        topic="t",
        seq=9,
        planned_at=datetime(2025, 1, 2),
        decoder_version="2",
        ranges={},
        replay_of=(3,),
    )
    decision = Decision(
        plan=plan,
        attempt="1",
        run_id="r",
        decoder_version="2",
        object_key="k",
        quarantine_key=None,
        partitions={},
        rows=1,
        rejects=0,
        partial_rejects=0,
        payload_bytes=1,
        trade_dates={date(2025, 1, 2): TradeDateSpan(rows=1, minutes=((5, 6),))},
        first_event_time=None,
        last_event_time=None,
        digest="",
        anchors={},
    )
    old = [Touch(BARS_INTRADAY_TABLE.name, "2024-12-30", 7)]
    batch = batch_of(decision, "trade", [old])
    assert {(t.partition, t.rows) for t in batch.touches} == {("2025-01-02", 1), ("2024-12-30", 0)}


def test_actions_and_news_touch_the_year_of_their_own_table():
    span = TradeDateSpan(rows=3, minutes=((1, 2),), daily_rows=0)
    for message_format, table in (
        ("corporate_action", CORPORATE_ACTIONS_TABLE),
        ("alpha_vantage_news", NEWS_TABLE),
        ("news", NEWS_TABLE),
    ):
        touches = touches_of(message_format, {"2024-12-30": span, "2024-12-31": span})
        assert touches == (Touch(table.name, "2024", 6),)


def test_an_action_makes_its_year_and_the_two_after_due_and_no_other():
    objects = {
        key_of(BARS_DAILY_TABLE, str(year)): Made(str(year), MadeFrom(definition="d1"))
        for year in range(2018, 2026)
    }
    make_all([], objects)
    key = key_of(CORPORATE_ACTIONS_TABLE, "2020")
    objects[key] = Made("new", MadeFrom(definition="d1"))
    found = {(table.name, year) for table, year, _ in due([], objects, DEFINITIONS)}
    assert found == {(VOLATILITY_DAILY_TABLE.name, year) for year in ("2020", "2021", "2022")}


def test_sentiment_waits_for_news_and_is_due_when_its_volatility_changes():
    made = MadeFrom(definition="d1")
    objects = {key_of(BARS_DAILY_TABLE, "2024"): Made("b", made)}
    assert (SENTIMENT_DAILY_TABLE.name, "2024") not in make_all([], objects)
    objects[key_of(NEWS_TABLE, "2024")] = Made("n", made)
    assert make_all([], objects) == [(SENTIMENT_DAILY_TABLE.name, "2024")]
    objects[key_of(VOLATILITY_INTRADAY_TABLE, "2024-03-01")] = Made("v", made)
    objects[key_of(VOLATILITY_INTRADAY_TABLE, "2023-03-01")] = Made("v", made)
    names = [table.name for table, _, _ in due([], objects, DEFINITIONS)]
    assert names == [SENTIMENT_DAILY_TABLE.name]
