"""Clocks that jump, records of other days, and producers whose clock is wrong."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.defs.catalog.assets import decide
from stock_pipeline.defs.tables.refresh import REFRESH_TAG
from stock_pipeline.defs.tables.sensor import seconds_to_wait
from stock_pipeline.ingest.decode import DECODER_VERSION
from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.log_state import fold
from stock_pipeline.ingest.offsets import Triggers, plan_next
from stock_pipeline.ingest.planner import Attempt, NotYet, Planner, next_attempt, triggers_of
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets
from stock_pipeline.lib.sessions import dates_of
from stock_pipeline_tests.support.sample_data import refresh_until_nothing_is_due
from stock_pipeline_tests.support.stack import TEST_BROKER
from stock_pipeline_tests.support.trades import ingest_all, trade

NOW = datetime(2026, 11, 20, 15, 0)
YEAR = timedelta(days=365)
NEW_YORK = {"trades": {"format": "trade", "source": "trades", "calendar": "XNYS"}}
DAILY = {"daily": {"format": "index_daily", "source": "index_daily", "calendar": "XNYS"}}


def ms(instant: datetime) -> int:
    return int(instant.replace(tzinfo=UTC).timestamp() * 1000)


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 5)), max_size=30))
def test_plans_keep_their_order_and_chain_however_the_clock_jumps(ticks):
    """Each tick: the clock jumps by that many days, then so many records arrive."""
    triggers = Triggers(100, 10.0, 1000, 10**6, 1000)
    plans: list[Plan] = []
    end, now = 0, NOW
    for days, arrived in ticks:
        now, end = now + timedelta(days=days), end + arrived
        state = fold("f", None, plans, {})
        plan = plan_next(
            state,
            TopicOffsets(None, {0: PartitionOffsets(0, end)}),
            triggers,
            topic="t",
            decoder_version="1",
            now=now,
        )
        waiting = end - state.next_offsets.get(0, 0)
        if isinstance(plan, Plan):
            plans.append(plan)
        else:
            # Only the seconds after a plan may keep a record waiting.
            assert not waiting or now == state.last_planned_at
    bounds = [(plan.ranges[0].start, plan.ranges[0].end) for plan in plans]
    assert [plan.seq for plan in plans] == list(range(len(plans)))
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))


def test_a_clock_that_was_set_back_keeps_no_batch_and_no_refresh_waiting(monkeypatch, settings_for):
    future = NOW + YEAR
    assert next_attempt([Attempt(3, future, None)], 600, NOW) == 4
    assert next_attempt([Attempt(3, future, future)], 600, NOW) == 4
    # Clocks of two machines differ a little: that is no jump.
    skewed = NOW + timedelta(seconds=20)
    assert next_attempt([Attempt(1, skewed, None)], 600, NOW) == NotYet(1)

    settings = settings_for().refresh
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(_nothing, tags={REFRESH_TAG: "true"})
        instance.report_run_failed(run)
        now = datetime.now(UTC).timestamp()
        assert seconds_to_wait(instance, settings, now) > 0
        assert seconds_to_wait(instance, settings, now - YEAR.total_seconds()) == 0

    _, cursor = decide(None, {"gold": ["2026-11-20"]}, 1e9)
    _, cursor = decide(cursor, {"gold": ["2026-11-20"]}, 1e9)
    assert decide(cursor, {"gold": ["2026-11-20"]}, 1e9)[0] is not None
    assert decide(cursor, {"gold": ["2026-11-20"]}, 1e9 - 1e7)[0] is None


@dg.job
def _nothing() -> None:
    pass


def test_a_batch_planned_with_a_clock_a_year_ahead_delays_no_other(
    settings_for, lake, broker, produce
):
    settings = settings_for({"trades": NEW_YORK["trades"] | {"max_batches_in_flight": 5}})
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(0)])
    planner = Planner(settings)
    state = planner.logs["trades"].state()
    ahead = plan_next(
        state,
        _polled(planner, topic),
        triggers_of(settings.feeds["trades"]),
        topic=topic,
        decoder_version=DECODER_VERSION,
        now=utc_now() + YEAR,
    )
    assert isinstance(ahead, Plan)
    assert planner.logs["trades"].put_plan(ahead)
    produce(topic, [trade(1)])
    tick = planner.tick("trades", planner.poll()[topic], lambda plan: [])
    assert [(r.plan.seq, r.attempt) for r in tick.requests] == [(0, 1), (1, 1)]
    assert tick.requests[1].plan.ranges[0].start == 1
    # From now on the trigger counts from a plan of our time.
    produce(topic, [trade(2)])
    tick = planner.tick("trades", planner.poll()[topic], lambda plan: [_running(plan)])
    assert "next batch in" in tick.sentence


def _polled(planner: Planner, topic: str) -> TopicOffsets:
    offsets = planner.poll()[topic]
    assert offsets is not None
    return offsets


def _running(plan: Plan) -> Attempt:
    return Attempt(1, utc_now(), None)


def test_a_batch_that_crosses_midnight_is_one_object_however_late_it_is_retried(
    settings_for, lake, broker, produce
):
    from stock_pipeline.ingest.run import run_batch

    settings = settings_for(NEW_YORK)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(3)])
    planner = Planner(settings)
    evening = datetime.combine(utc_now().date(), datetime.min.time()) - timedelta(microseconds=1)
    plan = plan_next(
        planner.logs["trades"].state(),
        _polled(planner, topic),
        triggers_of(settings.feeds["trades"]),
        topic=topic,
        decoder_version=DECODER_VERSION,
        now=evening,
    )
    assert isinstance(plan, Plan)
    planner.logs["trades"].put_plan(plan)
    first, _ = run_batch(planner, "trades", plan, 1, "evening")
    again, _ = run_batch(planner, "trades", plan, 2, "morning")
    assert f"arrival_date={evening.date()}" in first.commit.decision.object_key
    assert again.commit == first.commit
    assert len(list(lake.list("bronze/trades/"))) == 1


#: (UTC, trade_date in New York): the last second and the first of dates around daylight saving's
#: changes, where local midnight moves between 4 and 5 o'clock UTC.
AROUND_MIDNIGHT = [
    (datetime(2024, 3, 10, 4, 59, 59), date(2024, 3, 9)),
    (datetime(2024, 3, 10, 5), date(2024, 3, 10)),
    (datetime(2024, 3, 10, 7, 30), date(2024, 3, 10)),
    (datetime(2024, 3, 11, 3, 59, 59), date(2024, 3, 10)),
    (datetime(2024, 3, 11, 4), date(2024, 3, 11)),
    (datetime(2024, 11, 3, 3, 59, 59), date(2024, 11, 2)),
    (datetime(2024, 11, 3, 4), date(2024, 11, 3)),
    (datetime(2024, 11, 3, 5, 30), date(2024, 11, 3)),
    (datetime(2024, 11, 3, 6, 30), date(2024, 11, 3)),
    (datetime(2024, 11, 4, 4, 59, 59), date(2024, 11, 3)),
    (datetime(2024, 11, 4, 5), date(2024, 11, 4)),
]


def test_one_batch_across_midnights_and_daylight_saving_has_the_exchanges_dates(
    settings_for, lake, broker, produce
):
    settings = settings_for(NEW_YORK)
    produce(
        settings.feeds["trades"].topic,
        [trade(n, symbol="IBM", time=ms(at)) for n, (at, _) in enumerate(AROUND_MIDNIGHT)],
    )
    (done,) = ingest_all(settings)
    decision = done.commit.decision
    rows = lake.read_table(decision.object_key)[0]
    assert rows["trade_date"].to_pylist() == [day for _, day in AROUND_MIDNIGHT]
    expected = [day for _, day in AROUND_MIDNIGHT]
    assert {d: s.rows for d, s in decision.trade_dates.items()} == {
        day: expected.count(day) for day in expected
    }


def test_trades_that_are_years_late_open_their_old_date_and_only_it(
    settings_for, lake, broker, produce
):
    settings = settings_for(NEW_YORK)
    topic = settings.feeds["trades"].topic
    today = datetime(2026, 11, 20, 15)
    old = datetime(2005, 3, 7, 15)
    produce(topic, [trade(n, symbol="IBM", time=ms(today)) for n in range(2)])
    ingest_all(settings)
    refresh_until_nothing_is_due()
    before = {e.key: e.etag for e in lake.list("silver/bars_intraday/")}
    produce(topic, [trade(n, symbol="IBM", time=ms(old)) for n in range(10, 13)])
    ingest_all(settings)
    refresh_until_nothing_is_due()
    after = {e.key: e.etag for e in lake.list("silver/bars_intraday/")}
    (late,) = after.keys() - before.keys()
    assert "trade_date=2005-03-07" in late
    assert {key: after[key] for key in before} == before
    assert lake.read_table(late)[0]["volume"].to_pylist() == [3.0]


def test_the_first_and_the_last_session_of_a_calendar_make_tables(
    settings_for, lake, broker, produce
):
    settings = settings_for(DAILY)
    sessions = [r for r in dates_of("XNYS").to_pylist() if r["session_open"] is not None]
    first = next(r["trade_date"] for r in sessions if r["trade_date"].year == 2000)
    last = sessions[-1]["trade_date"]
    # The last one is a year ahead: only a producer whose clock is, too, may speak of it.
    accept_times_ahead(broker, settings.feeds["daily"].topic)
    produce(settings.feeds["daily"].topic, [_daily(first), _daily(date(1999, 12, 31))])
    produce(
        settings.feeds["daily"].topic,
        [_daily(last)],
        timestamp_ms=ms(datetime.combine(last, datetime.min.time())),
    )
    (done,) = ingest_all(settings, "daily")
    assert (done.commit.decision.rows, done.commit.decision.rejects) == (3, 0)
    refresh_until_nothing_is_due()
    years = {first.year, 1999, last.year}
    for table in ("silver/bars_daily", "gold/volatility_daily"):
        found = {e.key.split("year=")[1][:4] for e in lake.list(f"{table}/")}
        assert found == {str(year) for year in years}, table


def accept_times_ahead(broker: str, topic: str) -> None:
    """Apache Kafka 4 refuses records from more than an hour ahead, unless told otherwise."""
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    if TEST_BROKER == "apache":
        configs = {"message.timestamp.after.max.ms": str(2**63 - 1)}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
        KafkaAdminClient(bootstrap_servers=broker).alter_configs([resource])


def _daily(day: date) -> bytes:
    prices = dict.fromkeys(("Open", "High", "Low", "Close", "Adj Close", "CloseUSD"), "10.0")
    row: dict[str, Any] = {"Index": "IBM", "Date": day.isoformat(), "Volume": "1.0", **prices}
    return json.dumps(row).encode()


def test_a_producer_whose_clock_is_days_ahead_reaches_no_date_of_today(
    settings_for, lake, broker, produce
):
    feed = {"format": "trade", "calendar": "24/7", "partitions": 2}
    # Else the broker deletes the ancient record before anybody reads it.
    settings = settings_for({"trades": feed | {"retention_minutes": 50 * 365 * 24 * 60}})
    topic = settings.feeds["trades"].topic
    accept_times_ahead(broker, topic)
    now = utc_now()
    ahead, tomorrow = now + timedelta(days=3), now + timedelta(hours=23)
    produce(topic, [trade(0, time=ms(now)), trade(1, time=ms(tomorrow)), trade(2, time=ms(ahead))])
    # Kafka's time is the producer's own (CreateTime): ahead with it, ancient, and none at all.
    produce(topic, [trade(3, time=ms(ahead))], timestamp_ms=ms(ahead))
    produce(topic, [trade(4, time=ms(now))], timestamp_ms=0)
    produce(topic, [trade(5, time=ms(now))], partition=1, timestamp_ms=ms(datetime(2001, 1, 1)))
    (done,) = ingest_all(settings)
    decision = done.commit.decision
    assert decision.balanced
    rows = lake.read_table(decision.object_key)[0]
    assert rows["kafka_offset"].to_pylist() == [0, 1, 3, 4]
    assert rows["trade_date"].to_pylist()[2] == ahead.date()
    assert decision.quarantine_key
    rejects = lake.read_table(decision.quarantine_key)[0]
    assert rejects["kafka_partition"].to_pylist() == [0, 1]
    assert rejects["kafka_offset"].to_pylist() == [2, 0]
    assert set(rejects["reason"].to_pylist()) == {"impossible_value"}
    # The broker deletes by these times, too: an ancient record is deleted as soon as it may be.
    oldest = Planner(settings).kafka.oldest_timestamps({(topic, 0): 0, (topic, 1): 0}, 3600.0)
    assert oldest[topic, 1] < now.replace(tzinfo=UTC).timestamp() - 3600 < oldest[topic, 0]
