"""Real data from files to checked tables: 57 years of indices, and the reference volatilities."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from stock_pipeline.lake.store import Lake
from stock_pipeline_tests.support.sample_data import (
    INDICES,
    SHARED,
    needs_indices,
    refresh_until_nothing_is_due,
)
from stock_pipeline_tests.support.trades import ingest_all

REFERENCE = SHARED / "reference" / "volatility_sp500_windows.csv"
FEED = "stock_index_daily"
FEEDS = {
    FEED: {
        "format": "index_daily",
        "source": "index_daily",
        "max_records": 200_000,
        # An S&P 500 of its own: the reference annualises by 252.
        "calendar": "XNYS",
    }
}

#: By index: days, first and last, without volume, flat, with another adjusted close.
INDEX_QUIRKS = {
    "HSI": [8492, date(1986, 12, 31), date(2021, 5, 31), 3602, 576, 0],
    "NYA": [13947, date(1965, 12, 31), date(2021, 5, 28), 8832, 9318, 0],
    "IXIC": [12690, date(1971, 2, 5), date(2021, 5, 28), 3457, 3459, 0],
    "000001.SS": [5791, date(1997, 7, 2), date(2021, 5, 31), 1361, 0, 0],
    "N225": [13874, date(1965, 1, 5), date(2021, 6, 3), 9239, 5734, 0],
    "N100": [5474, date(1999, 12, 31), date(2021, 6, 2), 1657, 349, 0],
    "399001.SZ": [5760, date(1997, 8, 22), date(2021, 6, 2), 1570, 12, 5156],
    "GSPTSE": [10526, date(1979, 6, 29), date(2021, 5, 31), 1343, 15, 3013],
    "NSEI": [3346, date(2007, 9, 17), date(2021, 5, 31), 1320, 1, 0],
    "GDAXI": [8438, date(1987, 12, 30), date(2021, 5, 31), 2974, 1490, 0],
    "SSMI": [7671, date(1990, 11, 9), date(2021, 5, 28), 3039, 7, 0],
    "TWII": [5869, date(1997, 7, 2), date(2021, 5, 31), 1353, 0, 4877],
    "J203.JO": [2346, date(2012, 2, 8), date(2021, 5, 31), 2346, 29, 0],
}

needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"{REFERENCE} is not here: reference values are not committed"
)


def replay(file: Path, *options: str) -> str:
    command = [sys.executable, "-m", "stock_pipeline", "replay", str(file), "--feed", FEED]
    done = subprocess.run(
        [*command, "--as-fast-as-possible", *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(lake: Lake, prefix: str) -> pa.Table:
    return pa.concat_tables([lake.read_table(e.key)[0] for e in lake.list(prefix)])


def quirks(bars: pa.Table) -> dict[str, list[object]]:
    """As `INDEX_QUIRKS`."""
    found = duckdb.query(
        """
        SELECT symbol, count(*), min(trade_date), max(trade_date), count_if(volume = 0),
               count_if(high = low), count_if(adjusted_close <> close)
        FROM bars GROUP BY symbol
        """
    ).fetchall()
    return {symbol: of_symbol for symbol, *of_symbol in found}


@pytest.fixture
def silver_keys(lake: Lake) -> Callable[[], set[tuple[str, date]]]:
    def keys() -> set[tuple[str, date]]:
        rows = rows_of(lake, "silver/bars_daily/")
        found = list(zip(rows["symbol"].to_pylist(), rows["trade_date"].to_pylist(), strict=True))
        assert len(found) == len(set(found))
        return set(found)

    return keys


@needs_indices
@pytest.mark.timeout(600)
def test_57_years_of_indices_arrive_whole_once_and_in_few_runs(
    settings_for, lake, broker, silver_keys
):
    settings = settings_for(FEEDS)
    replay(INDICES)
    decisions = [d.commit.decision for d in ingest_all(settings, FEED)]
    assert sum(d.rows for d in decisions) == 104_224
    assert sum(d.rejects for d in decisions) == 0
    assert refresh_until_nothing_is_due() <= 12
    first = silver_keys()
    assert len(first) == 104_224
    assert quirks(rows_of(lake, "silver/bars_daily/")) == INDEX_QUIRKS

    replay(INDICES)
    again = [d.commit.decision for d in ingest_all(settings, FEED)]
    assert sum(d.rows for d in again) == 104_224
    refresh_until_nothing_is_due()
    assert silver_keys() == first


@needs_indices
def test_of_malformed_records_each_is_in_quarantine_and_each_good_one_in_bronze(
    settings_for, lake, broker
):
    settings = settings_for(FEEDS)
    replay(INDICES, "--malformed-share", "0.01")
    decisions = [d.commit.decision for d in ingest_all(settings, FEED)]
    rejects = sum(d.rejects for d in decisions)
    assert sum(d.rows for d in decisions) + rejects == 104_224
    assert 0.005 * 104_224 < rejects < 0.015 * 104_224
    quarantined = rows_of(lake, f"quarantine/{FEED}/")
    assert len(quarantined) == rejects
    assert None not in quarantined["reason"].to_pylist()
    assert len(set(quarantined["reason"].to_pylist())) > 1


@needs_reference
@pytest.mark.timeout(600)
def test_every_reference_volatility_agrees_through_the_whole_pipeline(
    settings_for, lake, broker, produce
):
    import arch.data.sp500

    settings = settings_for(FEEDS)
    prices = arch.data.sp500.load()
    records = [
        {
            "Index": "SP500",
            "Date": day.date().isoformat(),
            "Open": row["Open"],
            "High": row["High"],
            "Low": row["Low"],
            "Close": row["Close"],
            "Adj Close": row["Adj Close"],
            "Volume": float(row["Volume"]),
            "CloseUSD": row["Close"],
        }
        for day, row in prices.iterrows()
    ]
    produce(settings.feeds[FEED].topic, [json.dumps(r).encode() for r in records])
    ingest_all(settings, FEED)
    refresh_until_nothing_is_due()

    found: dict[tuple[str, str, str], float] = {}
    for row in rows_of(lake, "gold/volatility_daily/").to_pylist():
        for estimator in (
            "close_to_close",
            "parkinson",
            "garman_klass",
            "rogers_satchell",
            "yang_zhang",
        ):
            if row[estimator] is not None:
                key = (estimator, str(row["window_days"]), row["trade_date"].isoformat())
                found[key] = row[estimator]
        if row["ewma"] is not None:
            found["ewma_094", "0", row["trade_date"].isoformat()] = row["ewma"]
    first_reference: dict[tuple[str, str], str] = {}
    with REFERENCE.open(encoding="utf-8") as file:
        reference = list(csv.DictReader(file))
    for row in reference:
        key = (row["estimator"], row["n"], row["date"])
        assert found[key] == pytest.approx(float(row["value"]), rel=1e-9), key
        first_reference[key[:2]] = min(first_reference.get(key[:2], "9"), row["date"])
    for (estimator, n), day in first_reference.items():
        assert min(d for e, m, d in found if (e, m) == (estimator, n)) == day
