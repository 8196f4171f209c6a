"""Daily bars against what trades add up to."""

from __future__ import annotations

import tracemalloc
from datetime import date, datetime
from typing import Any

import pytest

from stock_pipeline.lib.schemas import SILVER_BARS_DAILY
from stock_pipeline.quality.agreement import disagreements
from stock_pipeline_tests.support.small_lake import rows_of

DAY = date(2024, 6, 3)


def row(source: str, close: float, *, bars: int | None = None, **more: Any) -> dict[str, object]:
    return {
        "symbol": "AAA",
        "trade_date": DAY,
        "source": source,
        "open": 100.0,
        "high": 120.0,
        "low": 90.0,
        "close": close,
        "volume": 1.0,
        "bar_count": bars,
        "sessions_per_year": 252.0,
        "incarnation": 1,
        "kafka_timestamp": datetime(2024, 6, 4),
        "kafka_partition": 0,
        "kafka_offset": 0,
    } | more


def found(*rows: dict[str, object], tolerance: float = 0.005) -> list[dict[str, Any]]:
    return disagreements(rows_of(SILVER_BARS_DAILY, list(rows)), tolerance)


def test_a_difference_names_symbol_date_both_values_and_both_sources() -> None:
    assert found(row("yahoo", 110.0), row("trades", 108.9, bars=390)) == [
        {
            "symbol": "AAA",
            "trade_date": "2024-06-03",
            "price": "close",
            "daily": 110.0,
            "daily_source": "yahoo",
            "rolled_up": 108.9,
            "rolled_up_source": "trades",
            "percent": 1.0,
            "bars": 390,
        }
    ]


@pytest.mark.parametrize(("close", "differs"), [(100.5, False), (100.51, True), (99.49, True)])
def test_the_tolerance_is_a_share_of_the_daily_price(close: float, differs: bool) -> None:
    assert bool(found(row("yahoo", 100.0), row("trades", close, bars=1))) is differs


def test_only_the_same_symbol_and_date_of_a_daily_bar_and_a_roll_up_are_compared() -> None:
    assert (
        found(
            row("yahoo", 100.0),
            row("massive", 50.0),
            row("trades", 50.0, bars=1, symbol="BBB"),
            row("trades", 50.0, bars=1, trade_date=date(2024, 6, 4)),
        )
        == []
    )


def test_the_largest_difference_comes_first() -> None:
    rows = found(row("yahoo", 100.0), row("trades", 101.0, bars=1, high=240.0))
    assert [(r["price"], r["percent"]) for r in rows] == [("high", 100.0), ("close", 1.0)]


def test_a_price_of_zero_is_infinitely_far_off_and_no_error() -> None:
    (difference,) = found(row("yahoo", 0.0), row("trades", 100.0, bars=1))
    assert (difference["price"], difference["percent"]) == ("close", float("inf"))
    assert found(row("yahoo", 0.0), row("trades", 0.0, bars=1)) == []


def test_days_that_agree_become_no_python_objects() -> None:
    sources = (("yahoo", None), ("trades", 1))
    rows = [row(s, 100.0, bars=b, symbol=f"S{n}") for n in range(5000) for s, b in sources]
    bars = rows_of(SILVER_BARS_DAILY, rows)
    tracemalloc.start()
    try:
        assert disagreements(bars, 0.005) == []
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
