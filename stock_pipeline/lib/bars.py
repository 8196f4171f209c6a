"""Silver bars: trades to 1-minute bars, vendor bars by their last correction, days rolled up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    SILVER_BARS_DAILY,
    SILVER_BARS_INTRADAY,
)
from stock_pipeline.lib.sql_files import literal, render, run

MICROSECONDS_PER_MINUTE = 60_000_000

#: Later in this order wins: a vendor's correction over what it corrects.
RECORD_ORDER = ("incarnation", "kafka_timestamp", "kafka_partition", "kafka_offset")


def bars_from_trades(trades: pa.Table, source: str, sessions: pa.Table) -> pa.Table:
    """1-minute bars of trades; in the SILVER_BARS_INTRADAY schema.

    Open and close are the first and last price by (event time, incarnation, partition, offset).
    Trades with the same symbol, venue, trade id and minute count once.

    Args:
        trades: TRADES rows, whole minutes of them: every trade of each minute that occurs.
        source: Written to the `source` column.
        sessions: `symbol, session_open, session_close, sessions_per_year` of the trades' date.
    """
    sql = render(
        "bars_intraday", trades="trades", sessions="sessions", source=literal(source)[1:-1]
    )
    return _sorted(
        run(sql, SILVER_BARS_INTRADAY, trades=trades, sessions=sessions), BARS_INTRADAY_TABLE.key
    )


def bars_from_vendor(bars: pa.Table, sessions: pa.Table) -> pa.Table:
    """Intraday vendor bars, the latest record of each (symbol, start, interval, source).

    Args:
        bars: BARS rows of one trade_date.
        sessions: `symbol, session_open, session_close, sessions_per_year`.
    """
    intraday = bars.filter(pc.not_equal(bars["interval"], "1d"))
    sql = """
        SELECT b.*, CAST(NULL AS DOUBLE) AS mean_price, s.session_open, s.session_close,
            s.sessions_per_year
        FROM bars b LEFT JOIN sessions s ON s.symbol = b.symbol
    """
    made = run(sql, SILVER_BARS_INTRADAY, bars=intraday, sessions=sessions)
    return merge_latest(None, made, BARS_INTRADAY_TABLE.key)


def replace_minutes(
    current: pa.Table | None,
    fresh: pa.Table,
    minutes: Sequence[tuple[int, int]],
    source: str,
) -> pa.Table:
    """Put recomputed 1-minute bars in the place of what the partition has for those minutes.

    Args:
        current: The partition as it is, None where it is new.
        fresh: All bars of those minutes, recomputed; may be empty.
        minutes: Half-open ranges of minutes since 1970 (UTC).
        source: Only 1-minute bars of this source are replaced.
    """
    if current is None:
        return _sorted(fresh, BARS_INTRADAY_TABLE.key)
    minute = pc.divide(current["bar_start"].cast(pa.int64()), MICROSECONDS_PER_MINUTE)
    replaced = pc.and_(pc.equal(current["source"], source), pc.equal(current["interval"], "1m"))
    touched = pa.chunked_array([pa.repeat(pa.scalar(False), len(current))])
    for start, end in minutes:
        inside = pc.and_(pc.greater_equal(minute, start), pc.less(minute, end))
        touched = pc.or_(touched, inside)
    kept = current.filter(pc.invert(pc.and_(replaced, touched)))
    return _sorted(pa.concat_tables([kept, fresh]), BARS_INTRADAY_TABLE.key)


def merge_latest(current: pa.Table | None, fresh: pa.Table, key: Sequence[str]) -> pa.Table:
    """Both tables' rows, of each key the one of the latest Kafka record; sorted by key.

    Idempotent and independent of order: absorbing a batch twice, or late, changes nothing.
    """
    rows = fresh if current is None else pa.concat_tables([current, fresh])
    keys = [(column, "ascending") for column in key]
    order = [(column, "descending") for column in RECORD_ORDER]
    rows = rows.sort_by([*keys, *order])
    if len(rows) < 2:
        return rows
    same = pa.chunked_array([pa.repeat(pa.scalar(True), len(rows) - 1)])
    for column in key:
        values = rows[column].combine_chunks()
        same = pc.and_(same, pc.equal(values[1:], values[:-1]))
    first = pa.concat_arrays([pa.array([True]), pc.invert(same).combine_chunks()])
    return rows.filter(first)


def daily_bars(rows: pa.Table, sessions_per_year: pa.Table) -> pa.Table:
    """Daily bars of daily feeds, the latest record of each (symbol, trade_date, source).

    Args:
        rows: DAILY_BARS rows, of any number of years.
        sessions_per_year: `symbol, sessions_per_year`.
    """
    sql = _DAILY.format(adjusted_close="b.adjusted_close", close_usd="b.close_usd")
    made = run(sql, SILVER_BARS_DAILY, bars=rows, sessions=sessions_per_year)
    return merge_latest(None, made, BARS_DAILY_TABLE.key)


def daily_from_vendor_bars(bars: pa.Table, sessions_per_year: pa.Table) -> pa.Table:
    """Daily bars of vendors' bar feeds: their rows of interval `1d`.

    Args:
        bars: BARS rows.
        sessions_per_year: `symbol, sessions_per_year`.
    """
    rows = bars.filter(pc.equal(bars["interval"], "1d"))
    sql = _DAILY.format(adjusted_close="b.adjusted_close", close_usd="CAST(NULL AS DOUBLE)")
    made = run(sql, SILVER_BARS_DAILY, bars=rows, sessions=sessions_per_year)
    return merge_latest(None, made, BARS_DAILY_TABLE.key)


def roll_up(intraday: pa.Table, trade_date: date) -> pa.Table:
    """One date's intraday bars as one daily bar per (symbol, source).

    Takes the finest interval that the symbol has from the source, and of a date with a session only
    the bars inside it.

    Args:
        intraday: SILVER_BARS_INTRADAY rows of the date.
        trade_date: The date.
    """
    sql = render("bars_daily", bars_intraday="intraday", trade_date=trade_date.isoformat())
    return _sorted(run(sql, SILVER_BARS_DAILY, intraday=intraday), BARS_DAILY_TABLE.key)


_DAILY = """
    SELECT b.symbol, b.trade_date, b.source, b.open, b.high, b.low, b.close,
        {adjusted_close} AS adjusted_close, b.volume, {close_usd} AS close_usd,
        CAST(NULL AS DOUBLE) AS mean_price, CAST(NULL AS BIGINT) AS trade_count,
        CAST(NULL AS DOUBLE) AS mean_close, CAST(NULL AS BIGINT) AS bar_count,
        s.sessions_per_year, b.incarnation, b.kafka_timestamp, b.kafka_partition, b.kafka_offset
    FROM bars b LEFT JOIN sessions s ON s.symbol = b.symbol
"""


def _sorted(table: pa.Table, key: Sequence[str]) -> pa.Table:
    return table.sort_by([(column, "ascending") for column in key])
