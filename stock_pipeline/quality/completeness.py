"""Closed sessions that lack bars, by the exchanges' calendars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.sessions import DEFAULT_CALENDAR, breaks_of, calendar_of, dates_of

#: Length of an intraday bar by the names that sources give it, in minutes.
MINUTES = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "60m": 60, "1h": 60, "90m": 90}
MINUTES |= {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}

#: A closed session with fewer of its bars than this is told of.
SHARE_EXPECTED = 0.9

_NO_BREAKS: Mapping[str, tuple[datetime, datetime]] = {}


def thin_sessions(
    bars: pa.Table, now: datetime, breaks: Mapping[str, tuple[datetime, datetime]] = _NO_BREAKS
) -> list[dict[str, object]]:
    """Symbols whose closed session has too few intraday bars.

    Args:
        bars: SILVER_BARS_INTRADAY rows of one date.
        now: Naive UTC.
        breaks: By symbol, the pause for lunch of that date, in which no bar is expected.

    Returns:
        One entry a symbol, interval and source: bars found and expected.
    """
    inside = bars.filter(
        (pc.field("session_close") <= pa.scalar(now, pa.timestamp("us")))
        & (pc.field("bar_start") >= pc.field("session_open"))
        & (pc.field("bar_start") < pc.field("session_close"))
    )
    keys = ["symbol", "interval", "source", "session_open", "session_close"]
    thin: list[dict[str, object]] = []
    for row in inside.group_by(keys).aggregate([("bar_start", "count")]).to_pylist():
        length = MINUTES.get(row["interval"])
        if length is None:
            continue
        minutes = (row["session_close"] - row["session_open"]).total_seconds() / 60
        if row["symbol"] in breaks:
            begin, end = breaks[row["symbol"]]
            minutes -= (end - begin).total_seconds() / 60
        expected = max(1, int(minutes // length))
        if row["bar_start_count"] < SHARE_EXPECTED * expected:
            thin.append(
                {
                    "symbol": row["symbol"],
                    "source": row["source"],
                    "interval": row["interval"],
                    "bars": row["bar_start_count"],
                    "expected": expected,
                }
            )
    return sorted(thin, key=lambda r: (str(r["symbol"]), str(r["source"])))


def lunch_breaks(
    bars: pa.Table,
    trade_date: date,
    rules: Sequence[tuple[str, str]],
    defaults: Mapping[str, str],
) -> dict[str, tuple[datetime, datetime]]:
    """By symbol, the pause in the session of a date, of those symbols that have one."""
    pairs = bars.group_by(["symbol", "source"]).aggregate([])
    found = {
        row["symbol"]: breaks_of(
            calendar_of(row["symbol"], rules, defaults.get(row["source"], DEFAULT_CALENDAR))
        ).get(trade_date)
        for row in pairs.to_pylist()
    }
    return {symbol: pause for symbol, pause in found.items() if pause}


def missing_sessions(
    bars: pa.Table,
    rules: Sequence[tuple[str, str]],
    defaults: Mapping[str, str],
    now: datetime,
) -> list[dict[str, object]]:
    """Closed sessions without a daily bar between a symbol's first and last one.

    Args:
        bars: SILVER_BARS_DAILY rows of one year.
        rules: (pattern, calendar) in order of precedence.
        defaults: By source, the calendar of symbols that no rule matches; XNYS for others.
        now: Naive UTC.

    Returns:
        One entry a symbol and source that misses any; nothing before the calendars begin (2000).
    """
    gaps: list[dict[str, object]] = []
    grouped = bars.group_by(["symbol", "source"]).aggregate([("trade_date", "list")])
    for row in grouped.to_pylist():
        dates: set[date] = set(row["trade_date_list"])
        calendar = calendar_of(row["symbol"], rules, defaults.get(row["source"], DEFAULT_CALENDAR))
        sessions = dates_of(calendar).filter(
            (pc.field("session_close") <= pa.scalar(now, pa.timestamp("us")))
            & (pc.field("trade_date") >= min(dates))
            & (pc.field("trade_date") <= max(dates))
        )
        missing = sorted(set(sessions["trade_date"].to_pylist()) - dates)
        if missing:
            gaps.append(
                {
                    "symbol": row["symbol"],
                    "source": row["source"],
                    "missing": len(missing),
                    "first": missing[0].isoformat(),
                    "last": missing[-1].isoformat(),
                }
            )
    return sorted(gaps, key=lambda r: (str(r["symbol"]), str(r["source"])))
