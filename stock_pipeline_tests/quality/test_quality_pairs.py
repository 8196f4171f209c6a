"""Broken data and the same data repaired: what was broken is found, and nothing else.

The shapes are those of the price repair tests of the `yfinance` package; the numbers are our own.
"""

from __future__ import annotations

import csv
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from stock_pipeline.lib.schemas import SILVER_CORPORATE_ACTIONS
from stock_pipeline_tests.support.quality_bars import NOW, daily, found, intraday

PAIRS = Path(__file__).parent / "quality_pairs"

#: By pair: kind, first and last bar, and number of bars of each finding.
PLANTED = {
    "pounds-for-pence-run": [("scale", "2024-01-19", "2024-01-29", 7)],
    "reverse-split-of-one-bar": [("scale", "2024-01-16", "2024-01-16", 1)],
    "one-price-in-pounds": [("scale", "2024-01-31", "2024-01-31", 1)],
    "auction-in-pounds-1h": [("scale", "2024-06-04 19:30", "2024-06-04 19:30", 1)],
    "split-missing": [("split", "2024-01-23", "2024-01-23", 1)],
    "split-not-in-adjusted-close": [("split", "2024-01-23", "2024-01-23", 1)],
    "split-on-a-few-bars": [("split", "2024-01-17", "2024-01-19", 3)],
    "dividend-not-adjusted": [("adjustment", "2024-01-24", "2024-01-24", 1)],
    "dividend-in-pence": [("adjustment", "2024-01-24", "2024-01-24", 1)],
    "adjusted-close-alone": [("adjustment", "2024-01-11", "2024-01-12", 2)],
    "volume-lost": [
        ("volume", "2024-01-09", "2024-01-09", 1),
        ("volume", "2024-02-02", "2024-02-02", 1),
    ],
    "one-bar-by-an-odd-ratio": [("outlier", "2024-01-26", "2024-01-26", 1)],
    "price-that-stood-still": [("stale", "2024-01-17", "2024-01-19", 3)],
    "saturday-copy": [("duplicate", "2024-01-13", "2024-01-13", 1)],
}


def test_every_pair_is_looked_at():
    assert {p.stem for p in PAIRS.glob("*.csv")} == {
        f"{name}-{which}" for name in PLANTED for which in ("bad", "fixed")
    }


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_error_is_found_where_it_is_and_nothing_else(name):
    bars, actions = read(f"{name}-bad")
    told = [(f.kind, f.start, f.end, f.bars) for f in found(bars, actions=actions)]
    expected = [
        (kind, datetime.fromisoformat(start), datetime.fromisoformat(end), count)
        for kind, start, end, count in PLANTED[name]
    ]
    assert sorted(told) == sorted(expected)


@pytest.mark.parametrize("name", PLANTED)
def test_nothing_is_found_in_the_repaired_data(name):
    bars, actions = read(f"{name}-fixed")
    assert found(bars, actions=actions) == []


def read(name: str) -> tuple[pa.Table, pa.Table]:
    """Bars and actions of a file; times with an hour are intraday bars."""
    with (PAIRS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    prices = ("open", "high", "low", "close", "adjusted_close", "volume")
    columns = {p: [float(row[p]) if row[p] else None for row in rows] for p in prices}
    if name.rsplit("-", 1)[0].endswith("-1h"):
        starts = [datetime.fromisoformat(row["time"]) for row in rows]
        return intraday(columns, starts, interval="1h"), SILVER_CORPORATE_ACTIONS.empty_table()
    days = [date.fromisoformat(row["time"]) for row in rows]
    told = [
        {"kind": kind, "ex_date": day, value: float(row[kind])}
        for row, day in zip(rows, days, strict=True)
        for kind, value in (("split", "ratio"), ("dividend", "amount"))
        if row[kind]
    ]
    rest = {"symbol": "ACME", "source": "yahoo", "incarnation": 1, "kafka_timestamp": NOW}
    rest |= {"kafka_partition": 0, "kafka_offset": 0}
    actions = pa.Table.from_pylist(
        [dict.fromkeys(SILVER_CORPORATE_ACTIONS.names) | rest | row for row in told],
        schema=SILVER_CORPORATE_ACTIONS,
    )
    return daily(columns, days), actions
