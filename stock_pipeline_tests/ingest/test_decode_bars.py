"""Bars and rows of the index file: which are taken, and why others are rejected."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from stock_pipeline_tests.support.decoding import reason, row
from stock_pipeline_tests.support.records import (
    ABSENT,
    BAR,
    INDEX_ROW,
    as_json,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1min", "1m"), ("5m", "5m"), ("15min", "15m"), ("60min", "1h"), ("1d", "1d")],
)
def test_interval_names_are_normalised(given: str, expected: str) -> None:
    assert row("bar", as_json(BAR, interval=given))["interval"] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interval": "7m"}, "impossible_value"),
        ({"interval": 5}, "wrong_type"),
        ({"high": 0.5}, "impossible_value"),
        ({"open": 9}, "impossible_value"),
        ({"close": 0.1}, "impossible_value"),
        ({"volume": -1}, "impossible_value"),
        ({"volume": ABSENT}, "missing_field"),
        ({"vwap": "x"}, "wrong_type"),
        ({"trade_count": 1.5}, "impossible_value"),
        ({"adjusted_close": 0}, "impossible_value"),
        ({"source": 5}, "wrong_type"),
        ({"start": "1999-01-04T15:00:00Z"}, "impossible_value"),
    ],
)
def test_an_impossible_bar_is_rejected_with_its_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason("bar", as_json(BAR, **changes)) == expected


def test_a_bar_without_source_takes_that_of_its_feed() -> None:
    assert row("bar", as_json(BAR))["source"] == "feed_source"
    assert row("bar", as_json(BAR, source="yahoo"))["source"] == "yahoo"


@pytest.mark.parametrize(
    "start",
    [
        "2026-01-05",
        " 2026-01-05",
        "2026-1-5",
        "2026/01/05",
        "2026-01-05T00:00:00-05:00",
        1767623400,
    ],
)
def test_a_daily_bar_belongs_to_the_date_it_names(start: Any) -> None:
    found = row("bar", as_json(BAR, interval="1d", start=start))
    assert found["trade_date"] == date(2026, 1, 5)


@pytest.mark.parametrize(
    "start", ["20261120", -315619200, "1959-12-31T23:00:00-14:00", "2026-11-20T00:00:00+99:00"]
)
def test_a_daily_bar_of_no_clear_date_or_one_without_partition_is_rejected(start: Any) -> None:
    assert reason("bar", as_json(BAR, interval="1d", start=start))


def test_the_first_day_of_daily_bars_is_taken_wherever_it_begins() -> None:
    for start in ("1960-01-01", "1960-01-01T00:00:00+14:00", "1960-01-01T00:00:00-12:00"):
        found = row("bar", as_json(BAR, interval="1d", start=start))
        assert found["trade_date"] == date(1960, 1, 1)


def test_a_row_of_the_index_file_becomes_a_daily_bar() -> None:
    found = row("index_daily", as_json(INDEX_ROW))
    assert found["trade_date"] == date(1986, 12, 31)
    assert (found["symbol"], found["close"], found["volume"]) == ("HSI", 2568.300049, 0.0)
    assert (found["close_usd"], found["source"]) == (333.87900637, "feed_source")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Date": "31/12/1986"}, "unparsable_time"),
        ({"Date": "1959-12-31"}, "impossible_value"),
        ({"Date": "2026-11-23"}, "impossible_value"),
        ({"High": "1"}, "impossible_value"),
        ({"Close": ABSENT}, "missing_field"),
        ({"Adj Close": "n/a"}, "wrong_type"),
    ],
)
def test_an_impossible_index_row_is_rejected_with_its_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason("index_daily", as_json(INDEX_ROW, **changes)) == expected
