"""Silver and gold on a real store: absorbed, raced for, refused, superseded."""

from __future__ import annotations

import random
import threading
from datetime import date, datetime, timedelta
from itertools import count

import pyarrow.compute as pc
import pytest

from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.tables.due import key_of
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import TableBuilder
from stock_pipeline_tests.support.decided import bar, daily, decide, trade

DAY = "2024-06-03"
T0 = datetime(2024, 6, 3, 10, 0)
FEEDS = {
    "trades": {"format": "trade", "source": "trades", "calendar": "24/7"},
    "bars": {"format": "bar", "source": "bars", "calendar": "24/7"},
    "daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"},
}
KEY = key_of(BARS_INTRADAY_TABLE, DAY)


class World:
    """A lake with settings, and builders that each have an index of their own."""

    def __init__(self, settings, lake, folder):
        self.settings, self.lake, self.folder = settings, lake, folder
        self._names = count()

    def index(self, name=None):
        index = TableIndex(
            self.settings, self.lake, self.folder / f"{name or next(self._names)}.sqlite"
        )
        index.catch_up()
        return index

    def builder(self, index=None):
        return TableBuilder(self.settings, self.lake, "run", index or self.index())

    def refresh(self, index=None):
        """Make what is due, like a refresh run."""
        index = index or self.index()
        builder = self.builder(index)
        return [builder.build(table, partition) for table, partition in index.due_one_by_one()]

    def rows(self, table=BARS_INTRADAY_TABLE, partition=DAY):
        return self.lake.read_table(key_of(table, partition))[0].to_pylist()


def rounded(rows):
    return [{c: f"{v:.12g}" if isinstance(v, float) else v for c, v in row.items()} for row in rows]


@pytest.fixture
def world(settings_for, ministack_endpoint, tmp_path):
    settings = settings_for(FEEDS, volatility={"windows": [2, 5]})
    return World(settings, Lake(settings.aws), tmp_path)


def test_a_trade_sent_twice_once_late_counts_once(world):
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, "a"), trade(T0, 12, "b")])
    world.refresh()
    decide(
        world.lake,
        "trades",
        "trade",
        1,
        [trade(T0, 10, "a"), trade(T0 + timedelta(seconds=30), 9, "c"), trade(T0, 12, None)],
    )
    world.refresh()
    (row,) = world.rows()
    assert row["trade_count"] == 4
    assert (row["open"], row["high"], row["low"], row["close"]) == (10, 12, 9, 9)
    assert row["volume"] == 4


def test_absorbing_batch_by_batch_gives_what_making_anew_gives(world):
    chosen = random.Random(3)
    index = world.index("kept")
    for seq in range(6):
        trades = [
            trade(
                T0 + timedelta(seconds=chosen.randrange(600)),
                chosen.uniform(9, 11),
                chosen.choice([None, f"id{chosen.randrange(40)}"]),
                chosen.choice(["SIM-A", "SIM-B"]),
            )
            for _ in range(50)
        ]
        decide(world.lake, "trades", "trade", seq, trades)
        bars = [bar(T0 + timedelta(minutes=5 * chosen.randrange(4)), chosen.uniform(9, 11))]
        decide(world.lake, "bars", "bar", seq, bars)
        index.catch_up()
        world.refresh(index)
    absorbed = world.rows()
    anew = world.builder().build(BARS_INTRADAY_TABLE, DAY, full=True)
    assert anew.etag
    assert len(absorbed) > 20
    assert rounded(absorbed) == rounded(anew.content.to_pylist())


def test_nothing_is_due_after_a_refresh_seen_by_a_new_index_too(world):
    index = world.index()
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10), trade(T0 + timedelta(minutes=2), 11)])
    decide(world.lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 5.0)])
    index.catch_up()
    made = {(b.table.name, b.partition) for b in world.refresh(index)}
    assert made == {
        (BARS_INTRADAY_TABLE.name, DAY),
        (BARS_DAILY_TABLE.name, "2023"),
        (BARS_DAILY_TABLE.name, "2024"),
        (VOLATILITY_INTRADAY_TABLE.name, DAY),
        (VOLATILITY_DAILY_TABLE.name, "2023"),
        (VOLATILITY_DAILY_TABLE.name, "2024"),
        (DAILY_AVERAGE_PRICE_TABLE.name, "2023"),
        (DAILY_AVERAGE_PRICE_TABLE.name, "2024"),
    }
    assert index.due() == []
    index.catch_up()
    assert index.due() == []
    assert world.index().due() == []


def test_two_builders_racing_on_one_partition_lose_no_update(world):
    barrier = threading.Barrier(2)
    failures = []

    def absorb(builder):
        try:
            barrier.wait()
            for _ in range(3):
                builder.build(BARS_INTRADAY_TABLE, DAY)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    first = world.builder()
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, "a")])
    first.index.catch_up()
    second = world.builder()
    decide(world.lake, "trades", "trade", 1, [trade(T0 + timedelta(minutes=1), 11, "b")])
    decide(world.lake, "trades", "trade", 2, [trade(T0, 12, "c")])
    second.index.catch_up()
    threads = [threading.Thread(target=absorb, args=[b]) for b in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [(r["trade_count"], r["close"]) for r in world.rows()] == [(2, 12), (1, 11)]
    footer = MadeFrom.model_validate_json(world.lake.read_footer(KEY))
    assert footer.examined["trades"] == ((0, 3),)


def test_a_builder_that_lost_the_race_makes_the_partition_again(world, monkeypatch):
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, "a")])
    world.refresh()
    decide(world.lake, "trades", "trade", 1, [trade(T0, 11, "b")])
    slow = world.builder()
    replace = world.lake.replace
    rivals = iter([True])

    def replace_late(key, body, etag):
        if next(rivals, False):
            # A rival publishes a batch that the slow builder has not seen.
            decide(world.lake, "trades", "trade", 2, [trade(T0, 12, "c")])
            monkeypatch.setattr(world.lake, "replace", replace)
            world.builder().build(BARS_INTRADAY_TABLE, DAY)
        return replace(key, body, etag)

    monkeypatch.setattr(world.lake, "replace", replace_late)
    slow.build(BARS_INTRADAY_TABLE, DAY)
    (row,) = world.rows()
    assert row["trade_count"] == 3


def test_a_refused_result_leaves_the_old_object_and_is_not_tried_again(world):
    index = world.index("kept")
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, "a")])
    index.catch_up()
    world.refresh(index)
    before = world.lake.get(KEY)
    decide(world.lake, "trades", "trade", 1, [trade(T0, float("inf"), "b")])
    index.catch_up()
    (built,) = world.refresh(index)
    assert built.etag is None
    assert all("finite" in v.sentence for v in built.violations)
    assert world.lake.get(KEY) == before
    assert built.rejected_key == layout.rejected_key("silver", "bars_intraday", DAY, "run")
    assert world.lake.head(built.rejected_key)
    assert index.due() == []
    # Only the store knows nothing of the refusal: an index from scratch tries once more.
    assert world.index().due() == [(BARS_INTRADAY_TABLE, DAY)]
    decide(world.lake, "trades", "trade", 2, [trade(T0, 11, "c")])
    index.catch_up()
    assert index.due() == [(BARS_INTRADAY_TABLE, DAY)]


def test_a_batch_that_supersedes_another_takes_its_rows_away(world):
    index = world.index("kept")
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, "a")])
    decide(world.lake, "trades", "trade", 1, [trade(T0, 99, "wrong")])
    index.catch_up()
    world.refresh(index)
    tomorrow = T0 + timedelta(days=1)
    decide(world.lake, "trades", "trade", 2, [trade(tomorrow, 11, "right")], replay_of=(1,))
    index.catch_up()
    world.refresh(index)
    assert [r["close"] for r in world.rows()] == [10]
    assert [r["close"] for r in world.rows(partition="2024-06-04")] == [11]


def test_a_later_correction_of_a_vendor_bar_wins_however_often_it_comes(world):
    decide(world.lake, "bars", "bar", 0, [bar(T0, 10)])
    decide(world.lake, "bars", "bar", 1, [bar(T0, 11), bar(T0, 12)])
    world.refresh()
    assert [r["close"] for r in world.rows()] == [12]


def test_daily_bars_of_a_bar_feed_go_to_the_year_and_make_no_day(world):
    decide(world.lake, "bars", "bar", 0, [bar(T0, 10, interval="1d"), bar(T0, 11, interval="1d")])
    made = {(b.table.name, b.partition) for b in world.refresh()}
    assert (BARS_INTRADAY_TABLE.name, DAY) not in made
    assert not world.lake.head(KEY)
    assert [r["close"] for r in world.rows(BARS_DAILY_TABLE, "2024")] == [11]


def test_the_days_own_bar_of_a_source_comes_before_its_roll_up(world):
    decide(world.lake, "bars", "bar", 0, [bar(T0, 10), bar(T0, 20, interval="1d")])
    world.refresh()
    assert [r["close"] for r in world.rows(BARS_DAILY_TABLE, "2024")] == [20]


def test_a_day_of_intraday_bars_is_rolled_up_and_replaced_when_it_changes(world):
    index = world.index("kept")
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10), trade(T0 + timedelta(hours=1), 11)])
    decide(world.lake, "daily", "index_daily", 0, [daily(date(2024, 6, 3), 7.0)])
    index.catch_up()
    world.refresh(index)
    rows = world.rows(BARS_DAILY_TABLE, "2024")
    assert [(r["source"], r["close"]) for r in rows] == [("index_daily", 7.0), ("trades", 11)]
    decide(world.lake, "trades", "trade", 1, [trade(T0 + timedelta(hours=2), 12)])
    index.catch_up()
    world.refresh(index)
    rows = world.rows(BARS_DAILY_TABLE, "2024")
    assert [(r["source"], r["close"]) for r in rows] == [("index_daily", 7.0), ("trades", 12)]


def test_fifty_seven_years_due_are_made_in_one_pass_and_the_ewma_goes_on(world):
    days = [date(1965, 1, 1) + timedelta(days=30 * i) for i in range(57 * 12)]
    prices = random.Random(1)
    rows = [daily(day, 100 * (1 + prices.random() / 10), s) for day in days for s in ("A", "B")]
    decide(world.lake, "daily", "index_daily", 0, rows)
    index = world.index()
    made = world.refresh(index)
    years = {d.year for d in days}
    assert len(made) == 3 * len(years)
    assert all(b.etag for b in made)
    assert index.due() == []
    assert all(r["ewma"] is not None for r in world.rows(VOLATILITY_DAILY_TABLE, "1990"))
    # A correction in 1990 goes on in every later year, through the state alone.
    decide(world.lake, "daily", "index_daily", 1, [daily(days[25 * 12], 50.0, "A")])
    index.catch_up()
    again = [b.partition for b in world.refresh(index) if b.table is VOLATILITY_DAILY_TABLE]
    assert again == sorted(str(y) for y in years if y >= days[25 * 12].year)


def test_an_index_may_be_deleted_and_is_bounded_a_call(world, monkeypatch):
    for seq in range(5):
        decide(world.lake, "trades", "trade", seq, [trade(T0 + timedelta(minutes=seq), 10 + seq)])
    index = TableIndex(world.settings, world.lake, world.folder / "small.sqlite")
    index.refresh(most=2)
    assert index.behind
    assert index.examined()["trades"] == ((0, 2),)
    index.refresh(most=2)
    index.refresh(most=2)
    assert not index.behind
    assert index.examined()["trades"] == ((0, 5),)


def test_an_index_of_another_lake_starts_anew(world, monkeypatch):
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10)])
    index = world.index("kept")
    world.refresh(index)
    long_lived = world.index("kept")
    for entry in list(world.lake.list("")):
        world.lake.delete(entry.key)
    decide(world.lake, "trades", "trade", 0, [trade(T0 + timedelta(days=1), 11)])
    for found in (long_lived, world.index("kept")):
        found.catch_up()
        assert found.due() == [(BARS_INTRADAY_TABLE, "2024-06-04")]
        assert found.examined()["trades"] == ((0, 1),)


def test_commits_out_of_order_are_all_found(world):
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, "a")])
    decide(world.lake, "trades", "trade", 2, [trade(T0, 12, "c")])
    index = world.index("kept")
    world.refresh(index)
    assert MadeFrom.model_validate_json(world.lake.read_footer(KEY)).examined["trades"] == (
        (0, 1),
        (2, 3),
    )
    decide(world.lake, "trades", "trade", 1, [trade(T0, 11, "b")])
    index.catch_up()
    assert index.due() == [(BARS_INTRADAY_TABLE, DAY)]
    world.refresh(index)
    assert world.rows()[0]["trade_count"] == 3


def test_published_objects_have_the_exact_schema_and_are_sorted(world):
    decide(world.lake, "trades", "trade", 0, [trade(T0, 10, symbol=s) for s in ("B", "A")])
    for built in world.refresh():
        table, etag = world.lake.read_table(built.key)
        assert etag == built.etag
        assert table.schema.remove_metadata().equals(built.table.schema)
        assert table.equals(table.sort_by([(c, "ascending") for c in built.table.key]))
        footer = MadeFrom.model_validate_json(world.lake.read_footer(built.key))
        assert footer.rows == len(table)
    assert pc.count(table["symbol"]).as_py() == len(table)
