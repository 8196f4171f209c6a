"""The series of the reference values: S&P 500, 1999 to 2018, from package arch."""

import csv
import os
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stock_pipeline.lib.schemas.volatility_daily import YEARS_BEFORE
from stock_pipeline.tables.volatility import volatility_daily
from stock_pipeline_tests.support.bar_tables import daily

WINDOWS = (5, 20, 21, 30, 60, 250)
LAMBDA = 0.94


def reference(name: str) -> list[dict[str, str]]:
    """Rows of a CSV file of reference values; the test is skipped where they are not at hand."""
    default = Path(__file__).resolve().parents[3] / "shared"
    file = Path(os.environ.get("STOCK_PIPELINE_SHARED") or default) / "reference" / name
    if not file.is_file():
        pytest.skip(
            f"{name} is not in ../shared/reference; set STOCK_PIPELINE_SHARED to the folder that "
            "holds reference/."
        )
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@cache
def bars() -> pa.Table:
    from arch.data import sp500

    frame = sp500.load()
    rows = zip(
        pd.DatetimeIndex(frame.index).date,
        *(frame[name] for name in ("Open", "High", "Low", "Close", "Adj Close", "Volume")),
        strict=True,
    )
    names = ("trade_date", "open", "high", "low", "close", "adjusted_close", "volume")
    return daily(*(dict(zip(names, row, strict=True)) for row in rows))


@cache
def gold() -> pa.Table:
    """Volatilities made year by year, each with the state that the year before left."""
    years = pc.year(bars()["trade_date"])
    state: dict[str, tuple[float | None, float]] = {}
    made = []
    for year in range(pc.min(years).as_py(), pc.max(years).as_py() + 1):
        read = pc.and_(pc.less_equal(years, year), pc.greater_equal(years, year - YEARS_BEFORE))
        table, state = volatility_daily(bars().filter(read), year, WINDOWS, LAMBDA, (), state)
        made.append(table)
    return pa.concat_tables(made)


@cache
def values() -> dict[tuple[str, int, str], float]:
    """By estimator, window and date; EWMA under window 0."""
    found = {}
    for row in gold().to_pylist():
        day, n = row["trade_date"].isoformat(), row["window_days"]
        for name in (
            "close_to_close",
            "parkinson",
            "garman_klass",
            "rogers_satchell",
            "yang_zhang",
        ):
            if row[name] is not None:
                found[name, n, day] = row[name]
        found["ewma_094", 0, day] = row["ewma"]
    return found
