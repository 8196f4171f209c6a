"""Backfills of history by Dagster against a vendor's server and the real store."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from stock_pipeline.history.store import keep
from stock_pipeline.lake.layout import LANDING_MARK, Landed, landing_key
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, VOLATILITY_DAILY_TABLE
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.sources.vendor_server import Asked, Reply, VendorServer, vendor
from stock_pipeline_tests.support.location import location

SYMBOLS = ("AAA", "BBB", "BRK.B")
YEARS = ("2020", "2021", "2022", "2023", "2024")
KEY = "Pq9massivesecret"


def sessions(first: date, end: date) -> list[date]:
    """Weekdays, which are near enough to sessions for a vendor."""
    days = [first + timedelta(days=n) for n in range((end - first).days)]
    return [day for day in days if day.weekday() < 5]


class Vendor:
    """Massive with a walk of prices for each symbol; `corrected` replaces closes.

    Attributes:
        corrected: New close by symbol and day.
        unknown: Symbols that it does not know.
        refuse: Answer to everything, when set.
        refusals: How many questions are refused first.
        split: New shares for one old, by which all that lies before is adjusted.
    """

    def __init__(self) -> None:
        self.corrected: dict[tuple[str, date], float] = {}
        self.unknown: set[str] = set()
        self.refuse: Reply | None = None
        self.refusals = 0
        self.split = 1
        self._closes: dict[tuple[str, date], float] = {}
        for symbol in SYMBOLS:
            random.seed(symbol)
            close = 100.0
            for day in sessions(date(2020, 1, 1), date(2025, 1, 1)):
                close *= math.exp(random.gauss(0, 0.01))
                self._closes[symbol, day] = round(close, 2)

    def answer(self, asked: Asked) -> Reply:
        if self.refuse:
            return self.refuse
        if self.refusals:
            self.refusals -= 1
            return Reply(b"", 503)
        *_, symbol, _, _, _, start, end = asked.path.split("/")
        if symbol in self.unknown:
            return Reply({"status": "NOT_FOUND", "message": "Data not found."}, 404)
        results = []
        for (name, day), given in sorted(self._closes.items()):
            at = int(datetime(day.year, day.month, day.day, 5, tzinfo=UTC).timestamp() * 1000)
            if name == symbol and int(start) <= at <= int(end):
                close = self.corrected.get((name, day), given)
                prices = {"o": given, "h": given + 9, "l": 1, "c": close}
                adjusted = {name: price / self.split for name, price in prices.items()}
                results.append({**adjusted, "v": 5 * self.split, "t": at})
        return Reply({"status": "OK", "results": results})


@contextmanager
def massive(settings_for: Any, **history: Any) -> Iterator[tuple[Vendor, VendorServer]]:
    """A vendor, and settings with history of it."""
    wanted = Vendor()
    with vendor(wanted.answer) as server:
        settings_for(
            {"bars": {"format": "bar", "source": "vendor_bars"}},
            history={"massive": {"symbols": list(SYMBOLS), "since": 2019} | history},
            sources={
                "massive": {
                    "base_url": server.url,
                    "api_key": KEY,
                    "requests_per_minute": 1000,
                    "attempts": 1,
                }
            },
            refresh={"min_interval_seconds": 1},
        )
        yield wanted, server


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch, ministack_endpoint):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))


def the_lake() -> Lake:
    from stock_pipeline.settings import get_settings

    return Lake(get_settings().aws)


def backfill(instance, symbol: str, first: str, last: str, *, daily: bool = True):
    """One run of a symbol's neighbouring periods, as a backfill in the UI starts it."""
    from stock_pipeline.defs.landing.assets import landing_asset
    from stock_pipeline.settings import get_settings

    asset = landing_asset(get_settings(), "massive", daily=daily)
    return location().materialize(
        [asset],
        instance=instance,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": f"{first}|{symbol}",
            "dagster/asset_partition_range_end": f"{last}|{symbol}",
        },
    )


def refresh(instance):
    return location().refresh(instance=instance)


def etags(prefixes=("landing/", "silver/", "gold/")) -> dict[str, str]:
    lake = the_lake()
    return {e.key: e.etag for prefix in prefixes for e in lake.list(prefix)}


def due() -> list[Any]:
    from stock_pipeline.settings import get_settings
    from stock_pipeline.tables.index import TableIndex

    settings = get_settings()
    index = TableIndex(settings, the_lake(), settings.home / "table_index.sqlite")
    index.catch_up()
    found = index.due()
    index.close()
    return found


def landed(symbol: str, year: int) -> str:
    return landing_key(Landed("massive", symbol, "1d", date(year, 1, 1), date(year + 1, 1, 1)))


def test_three_symbols_over_five_years_fill_silver_and_gold_and_again_change_nothing(
    settings_for, instance
):
    with massive(settings_for) as (_, server):
        for symbol in SYMBOLS:
            assert backfill(instance, symbol, "2020", "2024").success
        assert len(server.asked) == len(SYMBOLS)
        assert set(etags(["landing/"])) == {landed(s, int(y)) for s in SYMBOLS for y in YEARS}
        assert refresh(instance).success
        lake = the_lake()
        for year in YEARS:
            silver, _ = lake.read_table(key_of(BARS_DAILY_TABLE, year))
            days = sessions(date(int(year), 1, 1), date(int(year) + 1, 1, 1))
            assert silver.num_rows == len(SYMBOLS) * len(days)
            gold, _ = lake.read_table(key_of(VOLATILITY_DAILY_TABLE, year))
            assert set(gold["symbol"].to_pylist()) == set(SYMBOLS)
            assert gold["close_to_close"].null_count < gold.num_rows
        assert due() == []
        before = etags()
        for symbol in SYMBOLS:
            assert backfill(instance, symbol, "2020", "2024").success
        assert due() == []
        assert refresh(instance).success
        assert etags() == before


def metadata_of(instance, symbol: str, period: str) -> dict[str, Any]:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            dg.AssetKey(["landing", "massive_daily"]), asset_partitions=[f"{period}|{symbol}"]
        ),
        limit=1,
    ).records
    metadata = found[0].asset_materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def failure_of(result) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    return str(event.step_failure_data.user_failure_data.description)


def test_a_partition_shows_what_it_holds_and_the_key_is_nowhere(settings_for, instance):
    with massive(settings_for) as (_, server):
        assert backfill(instance, "AAA", "2023", "2024").success
        metadata = metadata_of(instance, "AAA", "2024")
        assert metadata["dagster/partition_row_count"] == 262
        assert (metadata["first_bar"], metadata["last_bar"]) == ("2024-01-01", "2024-12-31")
        assert metadata["dagster/uri"].endswith(landed("AAA", 2024))
        assert (metadata["changed"], metadata["new_or_corrected_bars"]) == (True, 262)
        assert "| AAA | 2024-12-31 |" in metadata["preview"]
        assert backfill(instance, "AAA", "2023", "2024").success
        metadata = metadata_of(instance, "AAA", "2024")
        assert (metadata["changed"], metadata["new_or_corrected_bars"]) == (False, 0)
        body, _ = the_lake().get(landed("AAA", 2024))
        logged = "".join(
            str(entry) for run in instance.get_runs() for entry in instance.all_logs(run.run_id)
        )
        assert KEY in server.asked[0].headers["Authorization"]
        assert KEY not in body.decode() + logged + str(metadata)


def test_a_bar_that_the_vendor_corrects_makes_its_years_due_and_no_other(settings_for, instance):
    with massive(settings_for) as (wanted, _):
        assert backfill(instance, "AAA", "2020", "2024").success
        assert refresh(instance).success
        before = etags(["landing/", "silver/"])
        wanted.corrected["AAA", date(2022, 6, 1)] = 50.0
        assert backfill(instance, "AAA", "2020", "2024").success
        years = {partition for table, partition in due() if table.name == "bars_daily"}
        assert years == {"2022"}
        assert refresh(instance).success
        after = etags(["landing/", "silver/"])
        changed = {key for key in after if before.get(key) != after[key]}
        assert changed == {landed("AAA", 2022), key_of(BARS_DAILY_TABLE, "2022")}


def test_an_unknown_symbol_fails_with_a_sentence_and_the_others_land(settings_for, instance):
    with massive(settings_for) as (wanted, _):
        wanted.unknown.add("BBB")
        from stock_pipeline.defs.landing.assets import landing_asset
        from stock_pipeline.settings import get_settings

        asset = landing_asset(get_settings(), "massive", daily=True)
        result = location().materialize(
            [asset],
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": "2024|AAA",
                "dagster/asset_partition_range_end": "2024|BRK.B",
            },
        )
        assert not result.success
        sentence = failure_of(result)
        assert sentence.startswith("1 of 3 partitions did not come; the others are kept.")
        assert "Massive does not know BBB: Data not found." in sentence
        key = dg.AssetKey(["landing", "massive_daily"])
        assert instance.get_materialized_partitions(key) == {"2024|AAA", "2024|BRK.B"}
        assert set(etags(["landing/"])) == {landed("AAA", 2024), landed("BRK.B", 2024)}
        # What landed is told of, though the run failed.
        assert [(t.name, p) for t, p in due()][:1] == [("bars_daily", "2024")]


def test_a_period_without_bars_is_told_to_have_none(settings_for, instance):
    with massive(settings_for, since=2018):
        assert backfill(instance, "AAA", "2018", "2018").success
        metadata = metadata_of(instance, "AAA", "2018")
        assert metadata["dagster/partition_row_count"] == 0
        assert metadata["no_data"].startswith("The vendor has given nothing")
        assert "Massive has no bars of 1d for AAA" in metadata["told"]
        assert etags() == {}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Reply({"status": "ERROR", "error": "Unknown API Key"}, 401), "does not accept the key"),
        (Reply({"status": "NOT_AUTHORIZED", "message": "No."}, 403), "plan of this key"),
        (Reply(b"", 503), "answered 503"),
        (Reply(b'{"results": [', cut_at=5), "cut the connection"),
        (Reply(b"<html>"), "not JSON"),
    ],
)
def test_a_vendor_that_refuses_fails_the_run_once_and_asks_no_more(
    settings_for, instance, answer, sentence
):
    with massive(settings_for, symbols=["AAA"]) as (wanted, server):
        wanted.refuse = answer
        result = backfill(instance, "AAA", "2024", "2024")
        assert not result.success
        assert sentence in failure_of(result)
        assert len(server.asked) == 1
        assert etags() == {}


def test_a_source_without_a_key_asks_nobody(settings_for, instance):
    with massive(settings_for) as (_, server):
        settings_for(
            {"bars": {"format": "bar", "source": "vendor_bars"}},
            history={"massive": {"symbols": ["AAA"]}},
            sources={"massive": {"base_url": server.url}},
        )
        result = backfill(instance, "AAA", "2024", "2024")
        assert "Source massive needs a key" in failure_of(result)
        assert server.asked == []


def test_bars_of_a_month_land_by_month_and_one_question_each(settings_for, instance):
    with massive(settings_for, intraday="1h") as (_, server):
        assert backfill(instance, "AAA", "2024-10", "2024-11", daily=False).success
        spans = [asked.path.split("/")[-2:] for asked in server.asked]
        # From midnight to midnight of New York, to which November gives an hour more.
        hours = [(int(end) + 1 - int(start)) / 3_600_000 for start, end in spans]
        assert hours == [31 * 24, 30 * 24 + 1]
        keys = sorted(etags(["landing/"]))
        assert keys == [
            "landing/massive/AAA/1h/2024-10-01_2024-11-01.csv",
            "landing/massive/AAA/1h/2024-11-01_2024-12-01.csv",
        ]
        assert refresh(instance).success
        assert "silver/bars_intraday/trade_date=2024-11-29/bars.parquet" in etags(["silver/"])


def test_neighbouring_years_of_a_symbol_are_one_question_and_months_are_not():
    from stock_pipeline.defs.landing.fetching import landed_of_partition, questions

    def asked(interval: str, *keys: str) -> list[list[str]]:
        partitions = [landed_of_partition("massive", interval, key) for key in keys]
        return [[f"{p.symbol} {p.first}" for p in each] for each in questions(partitions)]

    assert asked("1d", "2021|A", "2020|B", "2020|A", "2023|A") == [
        ["A 2020-01-01", "A 2021-01-01"],
        ["A 2023-01-01"],
        ["B 2020-01-01"],
    ]
    assert asked("1m", "2020-12|A", "2021-01|A") == [["A 2020-12-01"], ["A 2021-01-01"]]
    december = landed_of_partition("massive", "1m", "2020-12|A")
    assert (december.first, december.end) == (date(2020, 12, 1), date(2021, 1, 1))


def test_a_split_changes_the_whole_history_and_all_its_years_become_due(settings_for, instance):
    with massive(settings_for) as (wanted, _):
        assert backfill(instance, "AAA", "2020", "2024").success
        assert refresh(instance).success
        wanted.split = 4
        assert backfill(instance, "AAA", "2020", "2024").success
        assert {p for table, p in due() if table.name == "bars_daily"} == set(YEARS)
        assert metadata_of(instance, "AAA", "2024")["new_or_corrected_bars"] == 262
        assert refresh(instance).success
        rows, _ = the_lake().read_table(key_of(BARS_DAILY_TABLE, "2020"))
        assert set(rows["volume"].to_pylist()) == {20.0}
        assert due() == []


def test_a_quota_that_ends_keeps_what_came_and_says_when_to_go_on(settings_for, instance):
    with massive(settings_for) as (_, server):
        settings_for(
            {"bars": {"format": "bar", "source": "vendor_bars"}},
            history={"massive": {"symbols": ["AAA"], "intraday": "1h"}},
            sources={"massive": {"base_url": server.url, "api_key": KEY, "requests_per_day": 2}},
        )
        result = backfill(instance, "AAA", "2024-01", "2024-04", daily=False)
        sentence = failure_of(result)
        assert sentence.startswith("2 of 4 partitions did not come; the others are kept. Massive")
        assert "takes no more requests of this key today; the next may be made from" in sentence
        assert len(server.asked) == 2
        key = dg.AssetKey(["landing", "massive_intraday"])
        assert instance.get_materialized_partitions(key) == {"2024-01|AAA", "2024-02|AAA"}


def test_a_damaged_object_fails_its_partition_and_stays(settings_for, instance):
    with massive(settings_for):
        the_lake().put(landed("AAA", 2023), b"<html>")
        result = backfill(instance, "AAA", "2022", "2024")
        assert "cannot be read as landed history" in failure_of(result)
        assert the_lake().get(landed("AAA", 2023))[0] == b"<html>"
        key = dg.AssetKey(["landing", "massive_daily"])
        assert instance.get_materialized_partitions(key) == {"2022|AAA", "2024|AAA"}


def backfill_of_2024(instance):
    """One run of a year of every symbol: a question each."""
    from stock_pipeline.defs.landing.assets import landing_asset
    from stock_pipeline.settings import get_settings

    tags = {
        "dagster/asset_partition_range_start": "2024|AAA",
        "dagster/asset_partition_range_end": "2024|BRK.B",
    }
    asset = landing_asset(get_settings(), "massive", daily=True)
    return location().materialize([asset], instance=instance, raise_on_error=False, tags=tags)


def materialized(instance) -> list[str]:
    """Partitions by the events that tell of them."""
    records = instance.fetch_materializations(dg.AssetKey(["landing", "massive_daily"]), 100)
    return sorted(str(record.partition_key) for record in records.records)


def test_every_partition_is_told_of_once(settings_for, instance):
    with massive(settings_for):
        assert backfill_of_2024(instance).success
        assert materialized(instance) == ["2024|AAA", "2024|BBB", "2024|BRK.B"]


def test_a_run_that_dies_shows_what_it_landed_before(settings_for, instance, monkeypatch):
    from stock_pipeline.defs.landing import fetching

    def dies(lake, landed, rows):
        if landed.symbol == "BBB":
            raise RuntimeError("terminated")
        return keep(lake, landed, rows)

    monkeypatch.setattr(fetching, "keep", dies)
    with massive(settings_for):
        assert not backfill_of_2024(instance).success
        assert materialized(instance) == ["2024|AAA"]
        assert set(etags(["landing/", LANDING_MARK])) == {landed("AAA", 2024), LANDING_MARK}


def test_a_store_that_refuses_once_fails_that_partition_only(settings_for, instance, monkeypatch):
    from stock_pipeline.defs.landing import fetching

    def refuses(lake, landed, rows):
        if landed.symbol == "BBB":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "PutObject")
        return keep(lake, landed, rows)

    monkeypatch.setattr(fetching, "keep", refuses)
    with massive(settings_for):
        sentence = failure_of(backfill_of_2024(instance))
        assert sentence.startswith("1 of 3 partitions did not come; the others are kept.")
        assert "what has landed stays" in sentence
        assert materialized(instance) == ["2024|AAA", "2024|BRK.B"]


@pytest.mark.parametrize(("refusals", "landed"), [(1, ["2024|BBB", "2024|BRK.B"]), (2, [])])
def test_a_vendor_without_an_answer_is_given_up_at_the_second_in_a_row(
    settings_for, instance, refusals, landed
):
    with massive(settings_for) as (wanted, server):
        wanted.refusals = refusals
        assert "answered 503" in failure_of(backfill_of_2024(instance))
        assert materialized(instance) == landed
        assert len(server.asked) == (3 if landed else 2)
