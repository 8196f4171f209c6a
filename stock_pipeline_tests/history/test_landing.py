"""Landed history beside live bars: who wins, what is due, what is read how often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from stock_pipeline.catalogue.crawlers import TABLE_LEVEL, crawler_definitions
from stock_pipeline.errors import UserError
from stock_pipeline.history import bars as history
from stock_pipeline.history.store import (
    Kept,
    LandedDamagedError,
    keep,
    live_incarnation,
    read_landed,
    tell_changed,
)
from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake.layout import LANDING_PREFIX, Landed, commit_key
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats.arrow import BARS
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, BARS_INTRADAY_TABLE
from stock_pipeline.settings import Settings
from stock_pipeline.stack.crawl import CrawlOptions, group
from stock_pipeline.tables import index as table_index
from stock_pipeline.tables.due import key_of
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import TableBuilder, parquet
from stock_pipeline.verify.run import Scope, verify
from stock_pipeline_tests.support.decided import NOW, bar, decide, trade

DAY = date(2024, 5, 31)
AT = datetime(2024, 5, 31, 14, 30)
YEAR = Landed("bars", "SIM-A", "1d", date(2024, 1, 1), date(2025, 1, 1))
MONTH = Landed("bars", "SIM-A", "5m", date(2024, 5, 1), date(2024, 6, 1))
FEEDS = {
    "bars": {"format": "bar", "source": "bars"},
    "trades": {"format": "trade", "source": "trades"},
    "documents": {"format": "alpha_vantage_intraday", "source": "alpha_vantage"},
}


class World:
    """A lake, its index, and history in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.lake = settings, Lake(settings.aws)

    def live(self, seq: int, *rows: dict[str, object], replay_of: tuple[int, ...] = ()) -> None:
        decide(self.lake, "bars", "bar", seq, rows, replay_of)

    def land(self, close: float, at: datetime, of: Landed = YEAR, incarnation: int = 1) -> Kept:
        start = AT if of.interval != "1d" else datetime(2024, 5, 31)
        row = dict.fromkeys(BARS.names) | bar(start, close, of.interval, of.symbol)
        row |= {"trade_date": DAY, "kafka_timestamp": at, "incarnation": incarnation}
        row |= {"kafka_partition": 0, "kafka_offset": 0, "source": of.source}
        rows = history.landed_rows(pa.Table.from_pylist([row], BARS), of, at, incarnation)
        kept = keep(self.lake, of, rows)
        tell_changed(self.lake)
        return kept

    def index(self) -> TableIndex:
        index = TableIndex(self.settings, self.lake, self.settings.home / "table_index.sqlite")
        index.catch_up()
        return index

    def due(self) -> list[tuple[str, str]]:
        index = self.index()
        found = [(table.name, partition) for table, partition in index.due()]
        index.close()
        return found

    def make(self) -> None:
        """What a refresh run makes."""
        index = self.index()
        builder = TableBuilder(self.settings, self.lake, "run", index)
        for table, partition in index.due_one_by_one():
            assert builder.build(table, partition).violations == ()
        index.close()

    def closes(self, partition: str = "2024") -> dict[str, float]:
        table = BARS_DAILY_TABLE if len(partition) == 4 else BARS_INTRADAY_TABLE
        rows, _ = self.lake.read_table(key_of(table, partition))
        return {row["source"]: row["close"] for row in rows.to_pylist()}

    def anew(self, partition: str = "2024") -> dict[str, float]:
        """The same, made again from everything."""
        table = BARS_DAILY_TABLE if len(partition) == 4 else BARS_INTRADAY_TABLE
        built = TableBuilder(self.settings, self.lake, "anew").build(table, partition, full=True)
        return {row["source"]: row["close"] for row in built.content.to_pylist()}


@pytest.fixture
def world(
    settings_for: Callable[..., Settings],
    ministack_endpoint: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    return World(settings_for(FEEDS))


BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


@pytest.mark.parametrize("first", ["live", "history"])
@pytest.mark.parametrize(("fetched", "winner"), [(BEFORE, 10.0), (AFTER, 20.0)])
@pytest.mark.parametrize("of", [YEAR, MONTH])
def test_of_a_live_bar_and_history_the_later_known_wins_whichever_is_absorbed_first(
    world: World, first: str, fetched: datetime, winner: float, of: Landed
) -> None:
    live = bar(AT if of is MONTH else datetime(2024, 5, 31), 10.0, of.interval)
    steps = [lambda: world.live(0, live), lambda: world.land(20.0, fetched, of)]
    for step in steps if first == "live" else reversed(steps):
        step()
        world.make()
    partition = "2024" if of is YEAR else "2024-05-31"
    assert world.closes(partition) == {"bars": winner}
    assert world.anew(partition) == {"bars": winner}


def test_history_of_a_later_life_of_the_topics_wins_over_bars_of_an_earlier_one(
    world: World,
) -> None:
    world.live(0, bar(datetime(2024, 5, 31), 10.0, "1d"))
    world.land(20.0, BEFORE, incarnation=2)
    world.make()
    assert world.closes() == {"bars": 20.0}


def test_a_fetch_is_of_the_latest_life_of_the_topics(world: World) -> None:
    assert live_incarnation(world.settings, world.lake, "bars") == 1
    plan = Plan(
        kind="adopt",
        feed="bars",
        topic="bars",
        seq=0,
        incarnation=2,
        planned_at=NOW,
        decoder_version="1",
        ranges={},
    )
    assert OffsetLog(world.lake, "bars").put_plan(plan)
    assert live_incarnation(world.settings, world.lake, "bars") == 2
    # No feed is of yahoo: its bars come among those of any feed of format bar.
    assert live_incarnation(world.settings, world.lake, "yahoo") == 2
    # Alpha Vantage has a feed of its own, whose life is the first.
    assert live_incarnation(world.settings, world.lake, "alpha_vantage") == 1


def test_history_fetched_again_keeps_its_place_behind_a_live_correction(world: World) -> None:
    assert world.land(20.0, BEFORE).changed
    world.live(0, bar(datetime(2024, 5, 31), 10.0, "1d"))
    world.make()
    again = world.land(20.0, AFTER)
    assert not again.changed
    assert world.due() == []
    assert world.closes() == {"bars": 10.0}


def test_a_correction_by_the_vendor_is_taken_over(world: World) -> None:
    world.land(20.0, BEFORE)
    world.make()
    first = world.closes()
    world.land(21.0, AFTER)
    assert ("bars_daily", "2024") in world.due()
    world.make()
    assert (first, world.closes()) == ({"bars": 20.0}, {"bars": 21.0})
    assert world.due() == []


def test_a_deleted_object_gives_back_the_live_bar_that_it_hid(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.live(0, bar(datetime(2024, 5, 31), 10.0, "1d"))
    key = world.land(20.0, AFTER).key
    world.make()
    world.lake.delete(key)
    # Nobody set the mark: seen with the next full listing.
    assert world.due() == []
    monkeypatch.setattr(table_index, "LANDING_LIST_SECONDS", 0.0)
    world.make()
    assert world.closes() == {"bars": 10.0}


@pytest.mark.parametrize("seq", [0, 1])
def test_history_is_taken_over_after_a_feed_without_bars_of_the_day_left_the_settings(
    world: World, settings_for: Callable[..., Settings], seq: int
) -> None:
    demo = {"format": "trade", "source": "trades"}
    world.settings = settings_for({**FEEDS, "demo": demo})
    decide(world.lake, "demo", "trade", 0, [trade(datetime(2021, 5, 31, 14, 30), 9.0)])
    if seq:
        decide(world.lake, "demo", "trade", 1, [trade(AT, 9.0)])
    world.land(20.0, BEFORE, MONTH)
    world.make()
    world.settings = settings_for(FEEDS)
    world.land(21.0, AFTER, MONTH)
    if seq:
        with pytest.raises(UserError, match="feed demo, which it was made from, is not in"):
            world.make()
    else:
        world.make()
    assert world.closes(f"{DAY}")["bars"] == (20.0 if seq else 21.0)


def test_a_removed_feed_whose_commits_are_gone_may_have_had_any_bar(
    world: World, settings_for: Callable[..., Settings]
) -> None:
    world.settings = settings_for({**FEEDS, "demo": {"format": "trade", "source": "trades"}})
    decide(world.lake, "demo", "trade", 0, [trade(datetime(2021, 5, 31, 14, 30), 9.0)])
    world.land(20.0, BEFORE, MONTH)
    world.make()
    world.settings = settings_for(FEEDS)
    world.lake.delete(commit_key("demo", 0))
    world.land(21.0, AFTER, MONTH)
    with pytest.raises(UserError, match="feed demo"):
        world.make()


def test_a_landed_day_is_the_official_one_beside_its_own_sources_roll_up(world: World) -> None:
    world.live(0, bar(AT, 10.0, "5m"))
    world.make()
    assert world.closes() == {"bars": 10.0}
    world.land(20.0, AFTER)
    world.make()
    assert world.closes() == {"bars": 20.0}


def test_intraday_history_becomes_its_day_and_gold(world: World) -> None:
    world.land(20.0, AFTER, MONTH)
    assert world.due()[0] == ("bars_intraday", "2024-05-31")
    world.make()
    assert world.closes("2024-05-31") == {"bars": 20.0}
    (row,) = world.lake.read_table(key_of(BARS_INTRADAY_TABLE, "2024-05-31"))[0].to_pylist()
    # Of the symbol's calendar, in summer time.
    assert row["session_open"] == datetime(2024, 5, 31, 13, 30)
    assert world.closes() == {"bars": 20.0}


def test_an_idle_look_at_what_is_due_lists_no_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.land(20.0, AFTER)
    world.make()
    listed: list[str] = []
    real = Lake.list

    def spy(lake: Lake, prefix: str, after: str = "") -> Any:
        listed.append(prefix)
        return real(lake, prefix, after)

    monkeypatch.setattr(Lake, "list", spy)
    assert world.due() == []
    assert LANDING_PREFIX not in listed
    tell_changed(world.lake)
    assert world.due() == []
    assert LANDING_PREFIX in listed


def test_a_damaged_object_stops_what_it_touches_with_a_sentence_and_nothing_else(
    world: World,
) -> None:
    key = world.land(20.0, AFTER).key
    world.make()
    world.lake.put(key, b"<html>")
    tell_changed(world.lake)
    assert ("bars_daily", "2024") in world.due()
    with pytest.raises(LandedDamagedError, match="cannot be read as landed history"):
        world.make()
    assert world.closes() == {"bars": 20.0}
    with pytest.raises(LandedDamagedError):
        world.land(20.0, AFTER)
    assert world.lake.get(key)[0] == b"<html>"


def test_two_runs_that_land_the_same_object_lose_nothing_of_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.land(20.0, BEFORE)
    real, rival = Lake.replace, []

    def late(lake: Lake, key: str, body: Any, etag: str | None) -> str:
        if not rival:
            rival.append(key)
            rows = read_landed(lake, key)[0].to_pylist()
            rows[0] |= {"trade_date": date(2024, 6, 3), "bar_start": datetime(2024, 6, 3)}
            more = pa.Table.from_pylist(rows, history.LANDING)
            keep(lake, YEAR, more)
        return real(lake, key, body, etag)

    monkeypatch.setattr(Lake, "replace", late)
    kept = world.land(21.0, AFTER)
    assert kept.rows["close"].to_pylist() == [21.0, 20.0]


def verified(world: World, **scope: Any) -> list[tuple[str, str]]:
    """Kind and place of what `verify` finds in history and in what is made of it."""
    report = verify(
        world.settings,
        world.lake,
        Scope(broker=False, athena=False, grace_seconds=0.0, settle_seconds=0.5, **scope),
        lambda step, done, total: None,
    )
    found = [(str(f.kind), f.place) for f in report.findings]
    return [f for f in found if f[1].startswith((LANDING_PREFIX, "silver/", "gold/"))]


def test_verify_reads_history_makes_silver_from_it_again_and_finds_what_is_wrong(
    world: World,
) -> None:
    world.live(0, bar(datetime(2024, 5, 31), 10.0, "1d"), bar(AT, 10.0, "5m"))
    kept = world.land(20.0, AFTER)
    world.land(20.0, AFTER, MONTH)
    world.make()
    assert verified(world) == []
    assert verified(world, first=date(2020, 1, 1)) == []
    # Bars of another year, in the right form.
    world.lake.put(kept.key, history.to_csv(kept.rows).replace(b"2024-05-31", b"2023-05-31"))
    world.lake.put(f"{LANDING_PREFIX}notes.txt", b"hello")
    assert sorted(verified(world)) == [
        ("changed object", kept.key),
        ("foreign object", f"{LANDING_PREFIX}notes.txt"),
        ("stale silver", key_of(BARS_DAILY_TABLE, "2023")),
        ("stale silver", key_of(BARS_DAILY_TABLE, "2024")),
    ]


def test_verify_finds_a_value_of_silver_that_history_does_not_give(world: World) -> None:
    world.land(20.0, AFTER)
    world.make()
    key = key_of(BARS_DAILY_TABLE, "2024")
    table, _ = world.lake.read_table(key)
    made_from = MadeFrom.model_validate_json(world.lake.read_footer(key) or b"")
    forged = table.to_pylist()
    forged[0] |= {"close": 20.5, "high": 20.5}
    changed = pa.Table.from_pylist(forged, BARS_DAILY_TABLE.schema)
    world.lake.put(key, parquet(changed, made_from))
    assert ("wrong silver", key) in verified(world)


def test_a_day_by_history_is_compared_with_trades_and_the_difference_is_a_check(
    world: World,
) -> None:
    from stock_pipeline.defs.tables.events import DAYS_AGREE, check_evaluations

    decide(world.lake, "trades", "trade", 0, [trade(AT, 10.0), trade(AT, 10.2)])
    world.land(20.0, AFTER)
    world.make()
    assert world.closes() == {"bars": 20.0, "trades": 10.2}
    built = TableBuilder(world.settings, world.lake, "again").build(BARS_DAILY_TABLE, "2024")
    (check,) = [c for c in check_evaluations(world.settings, built) if c.check_name == DAYS_AGREE]
    assert not check.passed
    assert "SIM-A on 2024-05-31: " in (check.description or "")
    assert "low 20 by bars, 10 by trades" in (check.description or "")
    rows = check.metadata["differences"].records
    assert {row.data["price"] for row in rows} == {"open", "high", "low", "close"}


def test_no_crawler_reads_history_even_if_somebody_gives_it_the_whole_bucket(
    world: World,
) -> None:
    targets = [
        target
        for crawler in crawler_definitions(world.settings)
        for target in crawler["Targets"]["S3Targets"]
    ]
    assert not [t for t in targets if LANDING_PREFIX in t["Path"]]
    world.land(20.0, AFTER)
    world.make()
    listed = [(e.key, e.etag) for e in world.lake.list("")]
    whole = targets[0] | {"Path": f"s3://{world.lake.bucket}/"}
    found = group(world.lake.bucket, "", listed, whole, CrawlOptions("", TABLE_LEVEL))
    assert {table.table for table in found} == {
        "bars_daily",
        "daily_average_price",
        "volatility_daily",
    }
