"""A year of daily volatility: 5,000 symbols, four windows, and the bars before that fill them."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from benchmarks.figures import figure, median_of_three, tell
from stock_pipeline.lib.schemas import SILVER_BARS_DAILY
from stock_pipeline.tables.volatility import volatility_daily

BUDGET_SECONDS = 3
SYMBOLS = 5_000
SESSIONS = 252
YEAR = 2025
WINDOWS = (5, 20, 60, 250)


def bars() -> pa.Table:
    """SILVER_BARS_DAILY of the year and of the one before, whose 252 bars fill the windows."""
    random = np.random.default_rng(7)
    shape = (SYMBOLS, 2 * SESSIONS)
    rows = shape[0] * shape[1]
    close = (100 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=1))).ravel()
    opened = close * np.exp(random.normal(0, 0.01, rows))
    days = np.concatenate(
        [
            np.datetime64(f"{year}-01-01") + np.arange(SESSIONS) * 364 // (SESSIONS - 1)
            for year in (YEAR - 1, YEAR)
        ]
    )
    symbols = pa.array([f"S{number:05d}" for number in range(SYMBOLS)])
    given = {
        "symbol": symbols.take(pa.array(np.repeat(np.arange(SYMBOLS), shape[1]))),
        "trade_date": pa.array(np.tile(days, SYMBOLS)),
        "source": pa.repeat("vendor_bars", rows),
        "open": opened,
        "high": np.maximum(opened, close) * 1.005,
        "low": np.minimum(opened, close) * 0.995,
        "close": close,
        "adjusted_close": close * 0.9,
        "volume": random.integers(1, 1_000_000, rows).astype(float),
        "sessions_per_year": np.full(rows, 252.0),
        "incarnation": np.ones(rows, dtype=np.int32),
        "kafka_timestamp": pa.repeat(pa.scalar(datetime(YEAR, 1, 1), pa.timestamp("us")), rows),  # noqa: DTZ001 - naive UTC
        "kafka_partition": np.zeros(rows, dtype=np.int32),
        "kafka_offset": np.arange(rows),
    }
    columns = [
        pa.array(given[field.name]) if field.name in given else pa.nulls(rows, field.type)
        for field in SILVER_BARS_DAILY
    ]
    return pa.table(columns, names=SILVER_BARS_DAILY.names).cast(SILVER_BARS_DAILY)


def main() -> list[dict[str, object]]:
    """Median of three, each with the EWMA state of the year before."""
    table = bars()
    state = {f"S{number:05d}": (1e-4 + number / 1e9, 90.0) for number in range(SYMBOLS)}
    (made, _), seconds = median_of_three(
        lambda: volatility_daily(table, YEAR, WINDOWS, 0.94, ("vendor_bars",), state)
    )
    if made.num_rows != SYMBOLS * SESSIONS * len(WINDOWS):
        raise SystemExit(f"{made.num_rows} rows were made, not every bar's of every window.")
    name = "volatility_daily, 5,000 symbols x 1 year, four windows"
    return [figure(name, seconds, "s", most=BUDGET_SECONDS)]


if __name__ == "__main__":
    tell(main())
