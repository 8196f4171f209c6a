"""Bars for the tests of the quality checks: a plain market in which errors are planted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from stock_pipeline.lib.formats.arrow import TIMESTAMP
from stock_pipeline.lib.schemas import SILVER_BARS_DAILY, SILVER_BARS_INTRADAY
from stock_pipeline.lib.sessions import dates_of, session_of
from stock_pipeline.quality.checks import QualityContext, quality_findings
from stock_pipeline.quality.findings import Limits, QualityFinding

NOW = datetime(2026, 1, 1)
DAY = date(2024, 6, 4)


def context(**changes: Any) -> QualityContext:
    """XNYS for all but SIM-* and *.T, the usual limits."""
    rules = (("SIM-*", "24/7"), ("*.T", "XTKS"))
    usual = QualityContext(Limits(), rules, {}, ("yahoo", "massive"), NOW)
    return replace(usual, **changes)


def found(table: pa.Table, **changes: Any) -> list[QualityFinding]:
    """All findings of all checks."""
    return [f for fs in quality_findings(table, context(**changes)).values() for f in fs]


@cache
def _all_sessions(calendar: str) -> list[date]:
    table = dates_of(calendar)
    days: list[date] = table["trade_date"].filter(table["session_open"].is_valid()).to_pylist()
    return days


def sessions(count: int, first: date = date(2024, 1, 2), calendar: str = "XNYS") -> list[date]:
    days = _all_sessions(calendar)
    return days[(at := bisect_left(days, first)) : at + count]


def walk(count: int, seed: int = 1, sigma: float = 0.01, start: float = 100.0) -> dict[str, Any]:
    """A geometric random walk as columns of bars; highs and lows lie around open and close."""
    random = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(random.normal(0, sigma, count)))
    opening = np.append(start, close[:-1]) * np.exp(random.normal(0, sigma / 5, count))
    wick = np.abs(random.normal(0, sigma / 3, (2, count)))
    return {
        "open": opening,
        "high": np.maximum(opening, close) * np.exp(wick[0]),
        "low": np.minimum(opening, close) * np.exp(-wick[1]),
        "close": close,
        "volume": random.integers(1000, 100_000, count).astype(float),
    }


def daily(
    columns: dict[str, Any],
    days: Sequence[date] | None = None,
    symbol: str = "ACME",
    source: str = "yahoo",
) -> pa.Table:
    """SILVER_BARS_DAILY rows of one series."""
    count = len(columns["close"])
    given = columns | {"trade_date": days or sessions(count)}
    return _table(SILVER_BARS_DAILY, given, count, symbol, source)


def intraday(
    columns: dict[str, Any],
    starts: Sequence[datetime] | None = None,
    symbol: str = "ACME",
    source: str = "yahoo",
    interval: str = "1m",
    calendar: str = "XNYS",
    day: date = DAY,
) -> pa.Table:
    """SILVER_BARS_INTRADAY rows of one series and date."""
    count = len(columns["close"])
    opens, closes = session_of(calendar, day) or (None, None)
    if starts is None:
        assert opens is not None
        starts = [opens + timedelta(minutes=i) for i in range(count)]
    given = columns | {
        "bar_start": pa.array(starts, TIMESTAMP),
        "interval": [interval] * count,
        "session_open": pa.array([opens] * count, TIMESTAMP),
        "session_close": pa.array([closes] * count, TIMESTAMP),
    }
    return _table(SILVER_BARS_INTRADAY, given, count, symbol, source)


def _table(
    schema: pa.Schema, given: dict[str, Any], count: int, symbol: str, source: str
) -> pa.Table:
    constant = {
        "symbol": symbol,
        "source": source,
        "sessions_per_year": 252.0,
        "incarnation": 1,
        "kafka_timestamp": NOW,
        "kafka_partition": 0,
        "kafka_offset": 0,
    }
    columns = [
        pa.array(given[f.name], f.type)
        if f.name in given
        else pa.array([constant.get(f.name)] * count, f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
