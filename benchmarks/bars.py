"""A day of 1-minute bars of 500 symbols absorbs a batch of 100,000 trades."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from benchmarks.figures import figure, median_of_three, tell
from stock_pipeline.lib.formats.arrow import TIMESTAMP, TRADES
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE
from stock_pipeline.tables.bars import bars_from_trades, replace_minutes
from stock_pipeline.tables.checks import violations

BUDGET_SECONDS = 1
SYMBOLS = 500
SESSION_MINUTES = 390
BATCH = 100_000
#: The batch's trades fall into these last minutes, into which the batch before reaches too.
BATCH_MINUTES = 10
DAY = date(2025, 3, 3)
OPEN = datetime(2025, 3, 3, 14, 30)  # noqa: DTZ001 - naive UTC
NAMES = [f"S{number:03d}" for number in range(SYMBOLS)]


def trades(count: int, first_minute: int, minutes: int, first_offset: int) -> pa.Table:
    """TRADES at random instants, each with an id."""
    random = np.random.default_rng(first_offset)
    span = minutes * 60_000_000
    times = np.datetime64(OPEN, "us") + (
        first_minute * 60_000_000 + np.sort(random.integers(0, span, count))
    ).astype("timedelta64[us]")
    offsets = np.arange(first_offset, first_offset + count)
    given = {
        "symbol": pa.array(NAMES).take(pa.array(random.integers(0, SYMBOLS, count))),
        "event_time": times,
        "price": np.round(100 + random.normal(0, 1, count), 2),
        "size": random.integers(1, 500, count).astype(float),
        "trade_id": pa.array(offsets).cast(pa.string()),
        "venue": pa.repeat("XNAS", count),
        "trade_date": pa.repeat(pa.scalar(DAY), count),
        "kafka_partition": np.zeros(count, dtype=np.int32),
        "kafka_offset": offsets,
        "kafka_timestamp": times,
        "incarnation": np.ones(count, dtype=np.int32),
    }
    return pa.table([pa.array(given[name]) for name in TRADES.names], names=TRADES.names).cast(
        TRADES
    )


def main() -> list[dict[str, object]]:
    """Median of three: aggregate the minutes touched, replace them, check the day."""
    close = OPEN + timedelta(minutes=SESSION_MINUTES)
    sessions = pa.table(
        {
            "symbol": NAMES,
            "session_open": pa.array([OPEN] * SYMBOLS, TIMESTAMP),
            "session_close": pa.array([close] * SYMBOLS, TIMESTAMP),
            "sessions_per_year": [252.0] * SYMBOLS,
        }
    )
    day = bars_from_trades(trades(2_000_000, 0, SESSION_MINUTES, 0), "trades", sessions)
    start = SESSION_MINUTES - BATCH_MINUTES
    before = trades(BATCH, start, BATCH_MINUTES, 2_000_000)
    batch = trades(BATCH, start, BATCH_MINUTES, 2_000_000 + BATCH)
    reaching = pa.concat_tables([before, batch])
    minute = int(np.datetime64(OPEN, "m").astype(int)) + start

    def absorb() -> pa.Table:
        fresh = bars_from_trades(reaching, "trades", sessions)
        made = replace_minutes(day, fresh, [(minute, minute + BATCH_MINUTES)], "trades")
        found = violations(BARS_INTRADAY_TABLE, made)
        if found or made.num_rows < SYMBOLS * SESSION_MINUTES * 0.9:
            raise SystemExit(f"The day was not made: {made.num_rows} rows, {found}.")
        return made

    _, seconds = median_of_three(absorb)
    name = "1-minute bars of a day, 500 symbols, absorbing a batch of 100,000 trades"
    return [figure(name, seconds, "s", most=BUDGET_SECONDS)]


if __name__ == "__main__":
    tell(main())
