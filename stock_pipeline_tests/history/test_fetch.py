"""History of one symbol by each source that has it, against a server in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.history import bars as history
from stock_pipeline.history.fetch import Fetched, History
from stock_pipeline.lake.layout import Landed
from stock_pipeline.settings import Settings, load_settings
from stock_pipeline.sources.errors import BadSymbolError, PremiumError, RequestError
from stock_pipeline.sources.source import Notice
from stock_pipeline_tests.sources.vendor_server import Asked, Reply, vendor
from stock_pipeline_tests.sources.yahoo_server import (
    DELISTED,
    NEW_YORK,
    chart,
    charts,
    yahoo_server,
)

KEY = "QW3RTYSECRETK3Y9"
MONTH = Landed("alpha_vantage", "IBM", "5m", date(2024, 3, 1), date(2024, 4, 1))


def settings_of(folder: Path, name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of one source at this address."""
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(folder))
    config = folder / "app_config.yaml"
    feed = "{topic: f, format: trade, source: f}"
    config.write_text(f"feeds: {{stock_live_feed: {feed}}}", encoding="utf-8")
    given = {"BASE_URL": url, "API_KEY": KEY, "ATTEMPTS": "1", "REQUESTS_PER_SECOND": "1000"}
    prefix = f"STOCK_PIPELINE__SOURCES__{name.upper()}__"
    environment = {f"{prefix}{setting}": value for setting, value in given.items()}
    return load_settings(config, folder / "none", environment)


@contextmanager
def opened(settings: Settings, name: str, **options: str) -> Iterator[tuple[History, list[Notice]]]:
    """History of a source, and what it tells."""
    told: list[Notice] = []
    with closing(History(settings, name, "XNYS", (), options, told.append)) as made:
        yield made, told


def rows(fetched: Fetched, landed: Landed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = history.landed_rows(
        fetched.bars, landed, datetime(2026, 1, 1), 1
    ).to_pylist()
    return found


def series(kind: str, times: list[str]) -> dict[str, Any]:
    bar = {"1. open": "10", "2. high": "12", "3. low": "9", "4. close": "11", "5. volume": "7"}
    zone = "5. Time Zone" if kind == "Daily" else "6. Time Zone"
    return {
        "Meta Data": {"2. Symbol": "IBM", zone: "US/Eastern"},
        f"Time Series ({kind})": dict.fromkeys(times, bar),
    }


def test_alpha_vantage_gives_a_month_by_one_question_over_daylight_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the last hours before and the first after the clocks were set forward, and of April.
    times = ["2024-03-08 19:55:00", "2024-03-11 09:30:00", "2024-03-29 19:55:00"]
    with vendor(lambda _: Reply(series("5min", [*times, "2024-04-01 09:30:00"]))) as server:
        settings = settings_of(tmp_path, "alpha_vantage", server.url, monkeypatch)
        with opened(settings, "alpha_vantage") as (source, _):
            fetched = source.fetch("IBM", "5m", *history.window(MONTH, "XNYS"))
        assert [(a.params["month"], a.params["outputsize"]) for a in server.asked] == [
            ("2024-03", "full")
        ]
    starts = [row["bar_start"] for row in rows(fetched, MONTH)]
    assert starts == [
        datetime(2024, 3, 9, 0, 55),
        datetime(2024, 3, 11, 13, 30),
        datetime(2024, 3, 29, 23, 55),
    ]
    assert {row["trade_date"] for row in rows(fetched, MONTH)} == {
        date(2024, 3, 8),
        date(2024, 3, 11),
        date(2024, 3, 29),
    }
    assert {row["source"] for row in rows(fetched, MONTH)} == {"alpha_vantage"}


def test_alpha_vantage_gives_many_years_of_days_by_one_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    years = Landed("alpha_vantage", "IBM", "1d", date(2020, 1, 1), date(2025, 1, 1))
    times = ["2019-12-31", "2020-01-02", "2024-12-31", "2025-01-02"]
    with vendor(lambda _: Reply(series("Daily", times))) as server:
        settings = settings_of(tmp_path, "alpha_vantage", server.url, monkeypatch)
        with opened(settings, "alpha_vantage") as (source, _):
            fetched = source.fetch("IBM", "1d", *history.window(years, "XNYS"))
        (asked,) = server.asked
    assert (asked.params["function"], asked.params["outputsize"]) == ("TIME_SERIES_DAILY", "full")
    assert [row["trade_date"] for row in rows(fetched, years)] == [
        date(2020, 1, 2),
        date(2024, 12, 31),
    ]


def test_what_is_for_paying_customers_says_so_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = {"Information": f"Your key {KEY}: this is a premium endpoint."}
    with vendor(lambda _: Reply(sold)) as server:
        settings = settings_of(tmp_path, "alpha_vantage", server.url, monkeypatch)
        with (
            opened(settings, "alpha_vantage") as (source, _),
            pytest.raises(PremiumError) as error,
        ):
            source.fetch("IBM", "5m", *history.window(MONTH, "XNYS"))
    assert KEY not in str(error.value)


def test_impossible_bars_are_counted_and_the_others_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = series("5min", ["2024-03-11 09:30:00", "2024-03-11 09:35:00"])
    bad = document["Time Series (5min)"]["2024-03-11 09:35:00"] | {"3. low": "-1"}
    document["Time Series (5min)"]["2024-03-11 09:35:00"] = bad
    with vendor(lambda _: Reply(document)) as server:
        settings = settings_of(tmp_path, "alpha_vantage", server.url, monkeypatch)
        with opened(settings, "alpha_vantage") as (source, _):
            fetched = source.fetch("IBM", "5m", *history.window(MONTH, "XNYS"))
    assert (fetched.bars.num_rows, fetched.rejects.num_rows) == (1, 1)


def yahoo_days(asked: Asked) -> Reply:
    if "period1" not in asked.params:
        return Reply(chart([0], [(1, 1, 1, 1, 1)], market_time=0, regular=(0, 1)))
    days = [date(2024, 8, 29), date(2024, 8, 30), date(2024, 9, 3)]
    opens = [datetime(d.year, d.month, d.day, 9, 30, tzinfo=NEW_YORK) for d in days]
    times = [int(at.timestamp()) for at in opens]
    return Reply(
        chart(
            times,
            [(10, 12, 9, 11, 5), (None, None, None, None, None), (10, 12, 9, 11, 5)],
            market_time=times[-1],
            regular=(times[-1], times[-1] + 23_400),
            granularity="1d",
            adjusted=[10.5, None, 11],
        )
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")
def test_yahoo_gives_days_with_adjusted_closes_and_none_for_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    year = Landed("yahoo", "AAPL", "1d", date(2024, 1, 1), date(2025, 1, 1))
    with yahoo_server(yahoo_days) as server:
        settings = settings_of(tmp_path, "yahoo", server.url, monkeypatch)
        with opened(settings, "yahoo") as (source, _):
            fetched = source.fetch("AAPL", "1d", *history.window(year, "XNYS"))
    found = [(row["trade_date"], row["adjusted_close"]) for row in rows(fetched, year)]
    assert found == [(date(2024, 8, 29), 10.5), (date(2024, 9, 3), 11.0)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")
def test_an_unknown_symbol_is_told_from_one_without_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
    with yahoo_server(charts(Reply(DELISTED))) as server:
        settings = settings_of(tmp_path, "yahoo", server.url, monkeypatch)
        with opened(settings, "yahoo") as (source, _), pytest.raises(BadSymbolError):
            source.fetch("NONE", "1d", start, end)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")
def test_a_month_that_the_vendor_does_not_keep_is_a_sentence_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with yahoo_server(yahoo_days) as server:
        settings = settings_of(tmp_path, "yahoo", server.url, monkeypatch)
        with (
            opened(settings, "yahoo") as (source, _),
            pytest.raises(RequestError, match="Yahoo's bars of 1m begin"),
        ):
            source.fetch("AAPL", "1m", *history.window(MONTH, "XNYS"))
        assert server.asked == []


def test_a_source_without_bars_has_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, "finnhub", "http://127.0.0.1:9", monkeypatch)
    with pytest.raises(RequestError, match="has no bars to fetch in batches"):
        History(settings, "finnhub", "XNYS", (), {}, lambda _: None)
