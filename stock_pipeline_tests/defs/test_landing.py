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

from stock_pipeline.lib.due import key_of
from stock_pipeline.lib.layout import Landed, landing_key
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, VOLATILITY_DAILY_TABLE
from stock_pipeline.resources.lake import Lake
from stock_pipeline_tests.sources.vendor_server import Asked, Reply, VendorServer, vendor

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
    """

    def __init__(self) -> None:
        self.corrected: dict[tuple[str, date], float] = {}
        self.unknown: set[str] = set()
        self.refuse: Reply | None = None
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
        *_, symbol, _, _, _, start, end = asked.path.split("/")
        if symbol in self.unknown:
            return Reply({"status": "NOT_FOUND", "message": "Data not found."}, 404)
        results = []
        for (name, day), given in sorted(self._closes.items()):
            at = int(datetime(day.year, day.month, day.day, 5, tzinfo=UTC).timestamp() * 1000)
            if name == symbol and int(start) <= at <= int(end):
                close = self.corrected.get((name, day), given)
                results.append({"o": given, "h": given + 9, "l": 1, "c": close, "v": 5, "t": at})
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

    asset = landing_asset("massive", get_settings().history["massive"], daily=daily)
    return dg.materialize(
        [asset],
        instance=instance,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": f"{first}|{symbol}",
            "dagster/asset_partition_range_end": f"{last}|{symbol}",
        },
    )


def refresh(instance):
    from stock_pipeline.defs import automation

    automation._index.cache_clear()
    defs = dg.Definitions(assets=[automation.refresh], executor=dg.in_process_executor)
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags={automation.REFRESH_TAG: "true"})


def etags(prefixes=("landing/", "silver/", "gold/")) -> dict[str, str]:
    lake = the_lake()
    return {e.key: e.etag for prefix in prefixes for e in lake.list(prefix)}


def due() -> list[Any]:
    from stock_pipeline.resources.table_index import TableIndex
    from stock_pipeline.settings import get_settings

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
