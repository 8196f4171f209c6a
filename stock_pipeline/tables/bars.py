"""Silver bars from bronze rows: pure functions, Arrow in, Arrow out.

Every result follows its table's schema and is sorted by its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.formats.arrow import DAILY_BARS
from stock_pipeline.lib.schemas import (
    BARS_INTRADAY_TABLE,
    SILVER_BARS_DAILY,
    SILVER_BARS_INTRADAY,
)
from stock_pipeline.lib.schemas.common import LATEST_RECORD
from stock_pipeline.lib.sql_files import render, run, text_literal

MICROSECONDS_A_MINUTE = 60_000_000

_LATEST = [column.name for column in LATEST_RECORD]


def bars_from_trades(trades: pa.Table, source: str, sessions: pa.Table) -> pa.Table:
    """1-minute bars of one date's trades.

    Trades are the same when symbol, venue and trade id are the same: the first record of one
    counts. Without an id each record is a trade of its own.

    Args:
        trades: TRADES.
        source: Name that the bars carry as their source.
        sessions: symbol, session_open, session_close, sessions_per_year; one row a symbol.

    Returns:
        SILVER_BARS_INTRADAY.

    Raises:
        ValueError: A symbol has no row in `sessions`.
    """
    query = render(
        "bars_intraday_from_trades",
        trades="trades",
        sessions="sessions",
        source=text_literal(source),
    )
    _require_symbols(trades, sessions)
    return run(query, {"trades": trades, "sessions": sessions}, SILVER_BARS_INTRADAY)


def bars_from_vendor(bars: pa.Table, sessions: pa.Table) -> pa.Table:
    """Vendors' intraday bars of one date, one per (symbol, interval, bar start, source).

    Args:
        bars: BARS; those of interval `1d` are left out.
        sessions: symbol, session_open, session_close, sessions_per_year; one row a symbol.

    Returns:
        SILVER_BARS_INTRADAY.

    Raises:
        ValueError: A symbol has no row in `sessions`.
    """
    query = render("bars_intraday_from_vendor", bars="bars", sessions="sessions")
    _require_symbols(bars, sessions)
    return run(query, {"bars": bars, "sessions": sessions}, SILVER_BARS_INTRADAY)


def replace_minutes(
    current: pa.Table | None, fresh: pa.Table, minutes: Sequence[tuple[int, int]], source: str
) -> pa.Table:
    """Replace the 1-minute bars that a source has in some minutes.

    Args:
        current: SILVER_BARS_INTRADAY as it is; None where the partition does not exist.
        fresh: The bars of `source` in those minutes, all of them.
        minutes: Half-open ranges of minutes since 1970-01-01 UTC.
        source: Whose bars are replaced.

    Raises:
        ValueError: A fresh bar is not a 1-minute bar of that source in those minutes.
    """
    if not bool(_belongs(fresh, minutes, source).all()):
        raise ValueError(
            f"Bars to add are not all 1-minute bars of source {source} in the minutes replaced; "
            "adding them would leave two bars of one minute."
        )
    parts = [fresh.cast(SILVER_BARS_INTRADAY)]
    if current is not None:
        kept = pa.array(~_belongs(current, minutes, source))
        parts.insert(0, _plain(current).filter(kept).cast(SILVER_BARS_INTRADAY))
    return _sorted(pa.concat_tables(parts), BARS_INTRADAY_TABLE.key)


def merge_latest(current: pa.Table | None, fresh: pa.Table, key: Sequence[str]) -> pa.Table:
    """Both tables' rows, one a key: the latest record wins, and of equal records the fresh one.

    Args:
        current: Rows as they are; None where the partition does not exist.
        fresh: Rows of the same schema.
        key: Columns that identify a row, also the order of the result.
    """
    tables = [_plain(fresh)] if current is None else [_plain(current).cast(fresh.schema), fresh]
    rows = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    rows = rows.append_column("_order", pa.array(np.arange(rows.num_rows)))
    rows = _sorted(rows, [*key, *_LATEST, "_order"]).drop_columns("_order").combine_chunks()
    if rows.num_rows < 2:
        return rows
    follows = np.zeros(rows.num_rows - 1, dtype=bool)
    for name in key:
        column = rows[name]
        follows |= pc.not_equal(column[1:], column[:-1]).to_numpy()
    return rows.filter(pa.array(np.append(follows, True)))


def daily_bars(rows: pa.Table, sessions_per_year: pa.Table) -> pa.Table:
    """Vendors' daily bars, one per (symbol, trade_date, source); the latest record wins.

    Args:
        rows: DAILY_BARS of any years.
        sessions_per_year: symbol, sessions_per_year; one row a symbol.

    Returns:
        SILVER_BARS_DAILY.

    Raises:
        ValueError: A symbol has no row in `sessions_per_year`.
    """
    query = render("bars_daily_from_feed", bars="bars", sessions_per_year="sessions_per_year")
    _require_symbols(rows, sessions_per_year)
    tables = {"bars": rows, "sessions_per_year": sessions_per_year}
    return run(query, tables, SILVER_BARS_DAILY)


def daily_from_vendor_bars(bars: pa.Table, sessions_per_year: pa.Table) -> pa.Table:
    """Daily bars that came through a feed of bars.

    Args:
        bars: BARS; only those of interval `1d` are taken.
        sessions_per_year: symbol, sessions_per_year; one row a symbol.

    Returns:
        SILVER_BARS_DAILY.

    Raises:
        ValueError: A symbol has no row in `sessions_per_year`.
    """
    daily = bars.filter(pc.equal(bars["interval"], "1d"))
    daily = daily.append_column("close_usd", pa.nulls(daily.num_rows, pa.float64()))
    return daily_bars(daily.select(DAILY_BARS.names), sessions_per_year)


def roll_up(intraday: pa.Table, trade_date: date) -> pa.Table:
    """The daily bars that one date's intraday bars add up to, one per (symbol, source).

    Takes the finest interval that a source has, inside the regular session where the date has one,
    else all of the date.

    Args:
        intraday: SILVER_BARS_INTRADAY of the date.
        trade_date: The date.

    Returns:
        SILVER_BARS_DAILY.
    """
    literal = f"DATE '{trade_date.isoformat()}'"
    query = render("bars_daily_from_intraday", bars="bars", trade_date=literal)
    return run(query, {"bars": intraday}, SILVER_BARS_DAILY)


def _belongs(
    bars: pa.Table, minutes: Sequence[tuple[int, int]], source: str
) -> npt.NDArray[np.bool_]:
    """Which bars are 1-minute bars of the source inside the half-open ranges."""
    at = bars["bar_start"].cast(pa.int64()).to_numpy() // MICROSECONDS_A_MINUTE
    inside: npt.NDArray[np.bool_] = np.zeros(len(at), dtype=bool)
    for start, end in minutes:
        inside |= (at >= start) & (at < end)
    named = pc.and_(pc.equal(bars["source"], source), pc.equal(bars["interval"], "1m"))
    inside &= named.to_numpy()
    return inside


def _plain(table: pa.Table) -> pa.Table:
    """Without the footer's metadata, which belongs to the object that it was read from."""
    return table.replace_schema_metadata(None)


def _sorted(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in columns])


def _require_symbols(rows: pa.Table, known: pa.Table) -> None:
    missing = set(pc.unique(rows["symbol"]).to_pylist()) - set(known["symbol"].to_pylist())
    if missing:
        raise ValueError(
            f"{len(missing)} symbols lack a session, first {min(missing)!r}; no bar was made."
        )
