"""Builders of bronze and silver tables for the tests of bars and volatility."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from stock_pipeline.lib.formats.arrow import BARS, DAILY_BARS, TRADES
from stock_pipeline.lib.schemas import SILVER_BARS_DAILY, SILVER_BARS_INTRADAY

DAY = date(2024, 3, 1)
OPEN = datetime(2024, 3, 1, 14, 30)
CLOSE = datetime(2024, 3, 1, 21, 0)

_ANY: dict[str, Any] = {
    "symbol": "A",
    "source": "s",
    "interval": "1m",
    "trade_date": DAY,
    "event_time": OPEN,
    "bar_start": OPEN,
    "size": 1.0,
    "volume": 1.0,
    "kafka_partition": 0,
    "kafka_offset": 0,
    "kafka_timestamp": OPEN,
    "incarnation": 1,
    "session_open": OPEN,
    "session_close": CLOSE,
    "sessions_per_year": 252.0,
}


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    full = []
    for row in rows:
        known = {**_ANY, **row}
        price = known.get("close", known.get("price"))
        for name in ("open", "high", "low", "close"):
            known.setdefault(name, price)
        full.append({name: known.get(name) for name in schema.names})
    return pa.Table.from_pylist(full, schema=schema)


def trades(*rows: Mapping[str, Any]) -> pa.Table:
    return _table(rows, TRADES)


def vendor_bars(*rows: Mapping[str, Any]) -> pa.Table:
    return _table(rows, BARS)


def feed_daily(*rows: Mapping[str, Any]) -> pa.Table:
    return _table(rows, DAILY_BARS)


def intraday(*rows: Mapping[str, Any]) -> pa.Table:
    return _table(rows, SILVER_BARS_INTRADAY)


def daily(*rows: Mapping[str, Any]) -> pa.Table:
    return _table(rows, SILVER_BARS_DAILY)


def sessions(
    *symbols: str, session: tuple[datetime, datetime] | None = (OPEN, CLOSE), yearly: float = 252.0
) -> pa.Table:
    opens, closes = session or (None, None)
    return pa.table(
        {
            "symbol": list(symbols),
            "session_open": pa.array([opens] * len(symbols), pa.timestamp("us")),
            "session_close": pa.array([closes] * len(symbols), pa.timestamp("us")),
            "sessions_per_year": pa.array([yearly] * len(symbols), pa.float64()),
        }
    )


def at(minute: float, start: datetime = OPEN) -> datetime:
    """An instant some minutes after the session's open."""
    return start + timedelta(minutes=minute)


def epoch_minute(instant: datetime) -> int:
    return int((instant - datetime(1970, 1, 1)).total_seconds() // 60)


def rows_of(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def series(
    count: int, start: date = date(2024, 1, 2), seed: int = 1, **same: Any
) -> list[dict[str, Any]]:
    """Bars of consecutive days that wander about 100."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    close = 100.0
    for day in range(count):
        opened = close * math.exp(random.normal(0, 0.01))
        close = opened * math.exp(random.normal(0, 0.02))
        rows.append(
            {
                "trade_date": start + timedelta(days=day),
                "open": opened,
                "high": max(opened, close) * (1 + random.uniform(0, 0.01)),
                "low": min(opened, close) * (1 - random.uniform(0, 0.01)),
                "close": close,
                **same,
            }
        )
    return rows
