"""Which exchange session holds an instant: trade_date, session bounds, half days, daylight saving.

Every calendar but `24/7` comes from `exchange_calendars`, imported when first asked for because it
brings pandas. All instants are naive UTC with microseconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.formats.arrow import TIMESTAMP

ALWAYS_OPEN = "24/7"
#: Of symbols that neither a rule nor their feed gives one.
DEFAULT_CALENDAR = "XNYS"
FIRST_DAY = date(2000, 1, 1)

#: Around FIRST_DAY and the last day, so that a zone's offset leaves no instant uncovered.
_MARGIN = timedelta(days=5)
_DAY = np.timedelta64(1, "D")

DATES = pa.schema(
    [
        pa.field("start", TIMESTAMP, nullable=False),
        pa.field("end", TIMESTAMP, nullable=False),
        pa.field("trade_date", pa.date32(), nullable=False),
        pa.field("session_open", TIMESTAMP),
        pa.field("session_close", TIMESTAMP),
    ]
)

SYMBOL_SESSIONS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("session_open", TIMESTAMP),
        pa.field("session_close", TIMESTAMP),
        pa.field("sessions_per_year", pa.float64(), nullable=False),
    ]
)

_Times = npt.NDArray[np.datetime64]


def calendar_of(symbol: str, rules: Sequence[tuple[str, str]], default: str) -> str:
    """Calendar of a symbol: of the first (pattern, calendar) rule that matches, else the default.

    Patterns are those of `fnmatch`, case-sensitive.
    """
    return next((name for pattern, name in rules if fnmatchcase(symbol, pattern)), default)


@cache
def dates_of(calendar: str) -> pa.Table:
    """The half-open UTC interval of every trade_date, sorted, without gap or overlap.

    Covers 2000-01-01 to a year from today. `session_open` and `session_close` are NULL on a date
    without session. Of exchanges whose session opens on the day before (futures), a trade_date
    reaches from the close of the session before to its own close; of all others it is the
    exchange's local date.

    Raises:
        ValueError: No such calendar.
    """
    if calendar == ALWAYS_OPEN:
        days = _days(FIRST_DAY - _MARGIN, _last_day() + _MARGIN).astype("datetime64[us]")
        ends = np.append(days[1:], days[-1:] + _DAY)
        return _dates_table(days, ends, days, days, ends)
    sessions, opens, closes = _sessions(calendar)
    zone = timezone_of(calendar)
    if bool((_local_dates(opens, zone) < sessions).any()):
        starts = np.concatenate([[np.datetime64(FIRST_DAY - 2 * _MARGIN, "us")], closes[:-1]])
        return _dates_table(starts, closes, sessions, opens, closes)
    days = _days(FIRST_DAY - _MARGIN, _last_day() + _MARGIN)
    bounds = _midnights(np.append(days, days[-1:] + _DAY), zone)
    nat = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[us]")
    all_opens, all_closes = nat, nat.copy()
    at = (sessions - days[0]).astype("int64")
    inside = (at >= 0) & (at < len(days))
    all_opens[at[inside]] = opens[inside]
    all_closes[at[inside]] = closes[inside]
    return _dates_table(bounds[:-1], bounds[1:], days, all_opens, all_closes)


@cache
def timezone_of(calendar: str) -> str:
    """IANA name of the exchange's time zone.

    Raises:
        ValueError: No such calendar.
    """
    return "UTC" if calendar == ALWAYS_OPEN else str(_calendar(calendar).tz)


def session_of(calendar: str, trade_date: date) -> tuple[datetime, datetime] | None:
    """Open and close of the regular session; None on a date without one."""
    session = _session_map(calendar).get(trade_date)
    if session is None and calendar == ALWAYS_OPEN:
        start = datetime.combine(trade_date, datetime.min.time())
        return start, start + timedelta(days=1)
    return session


@cache
def breaks_of(calendar: str) -> dict[date, tuple[datetime, datetime]]:
    """The pause for lunch of each date that has one, naive UTC."""
    if calendar == ALWAYS_OPEN:
        return {}
    schedule = _calendar(calendar).schedule
    pauses = schedule[["break_start", "break_end"]].dropna()
    return {
        day.date(): tuple(t.tz_convert("UTC").tz_localize(None).to_pydatetime() for t in pause)
        for day, pause in zip(pauses.index, pauses.itertuples(index=False), strict=True)
    }


def symbol_sessions(
    symbols: Iterable[str],
    trade_date: date,
    rules: Sequence[tuple[str, str]],
    default: str,
    sessions_per_year: float,
    sessions_per_year_247: float,
) -> pa.Table:
    """Regular session and sessions a year of each symbol on a date, as SYMBOL_SESSIONS.

    Args:
        symbols: Symbols; a repeated one gives one row.
        trade_date: The date.
        rules: (pattern, calendar) in order of precedence.
        default: Calendar of symbols that no rule matches.
        sessions_per_year: Of exchanges.
        sessions_per_year_247: Of the calendar `24/7`.
    """
    rows = []
    for symbol in sorted(set(symbols)):
        calendar = calendar_of(symbol, rules, default)
        opens, closes = session_of(calendar, trade_date) or (None, None)
        yearly = sessions_per_year_247 if calendar == ALWAYS_OPEN else sessions_per_year
        rows.append((symbol, opens, closes, float(yearly)))
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, SYMBOL_SESSIONS, strict=True)],
        schema=SYMBOL_SESSIONS,
    )


def trade_dates(
    symbols: pa.ChunkedArray | pa.Array,
    instants: pa.ChunkedArray | pa.Array,
    rules: Sequence[tuple[str, str]],
    default: str,
) -> pa.Array:
    """trade_date of each row, as date32; the exchange-local date outside the calendar's bounds."""
    times = instants.to_numpy(zero_copy_only=False) if isinstance(instants, pa.Array) else None
    times = instants.to_numpy() if times is None else times
    encoded = pc.dictionary_encode(symbols)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    names = [calendar_of(s, rules, default) for s in encoded.dictionary.to_pylist()]
    calendars = sorted(set(names))
    if len(calendars) == 1:
        return pa.array(_dates_at(calendars[0], times))
    codes = np.array([calendars.index(n) for n in names], dtype=np.int32)
    row_codes = codes[encoded.indices.to_numpy()] if names else np.empty(0, dtype=np.int32)
    result = np.empty(len(times), dtype="datetime64[D]")
    for code, calendar in enumerate(calendars):
        mine = row_codes == code
        result[mine] = _dates_at(calendar, times[mine])
    return pa.array(result)


def _dates_at(calendar: str, times: _Times) -> _Times:
    if calendar == ALWAYS_OPEN:
        return times.astype("datetime64[D]")
    starts, dates = _starts(calendar)
    at = np.searchsorted(starts, times, side="right") - 1
    inside = (at >= 0) & (at < len(dates))
    found = dates[np.clip(at, 0, len(dates) - 1)]
    if not bool(inside.all()):
        found[~inside] = _local_dates(times[~inside], timezone_of(calendar))
    return found


@cache
def _starts(calendar: str) -> tuple[_Times, _Times]:
    """Starts of all intervals with the end of the last, and the dates as datetime64[D]."""
    table = dates_of(calendar)
    starts = np.append(table["start"].to_numpy(), table["end"].to_numpy()[-1:])
    return starts, table["trade_date"].to_numpy().astype("datetime64[D]")


@cache
def _session_map(calendar: str) -> dict[date, tuple[datetime, datetime]]:
    table = dates_of(calendar)
    return {
        day: (opens, closes)
        for day, opens, closes in zip(
            table["trade_date"].to_pylist(),
            table["session_open"].to_pylist(),
            table["session_close"].to_pylist(),
            strict=True,
        )
        if opens is not None
    }


def _sessions(calendar: str) -> tuple[_Times, _Times, _Times]:
    """Sessions as datetime64[D] with their opens and closes in naive UTC."""
    made = _calendar(calendar)

    def utc(series: Any) -> _Times:
        naive = series.dt.tz_convert("UTC").dt.tz_localize(None)
        return np.asarray(naive.to_numpy().astype("datetime64[us]"))

    return made.sessions.to_numpy().astype("datetime64[D]"), utc(made.opens), utc(made.closes)


@cache
def _calendar(calendar: str) -> Any:
    import exchange_calendars
    import pandas as pd
    from exchange_calendars.errors import InvalidCalendarName

    first, last = pd.Timestamp(FIRST_DAY - _MARGIN), pd.Timestamp(_last_day() + _MARGIN)
    with warnings.catch_warnings():
        # The package uses what pandas will drop; that is none of our callers' business.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            # A short calendar is cheap and tells the bounds: beyond them construction fails.
            short = exchange_calendars.get_calendar(calendar, start=last - pd.DateOffset(years=2))
        except InvalidCalendarName as error:
            raise ValueError(
                f"{calendar!r} is no exchange calendar: use a name of the exchange_calendars"
                f" package, such as XNYS, or {ALWAYS_OPEN!r}."
            ) from error
        low, high = type(short).bound_min(), type(short).bound_max()
        return exchange_calendars.get_calendar(
            calendar,
            start=first if low is None else max(first, low),
            end=last if high is None else min(last, high),
        )


def _last_day() -> date:
    return datetime.now(UTC).date() + timedelta(days=365)


def _days(first: date, last: date) -> _Times:
    return np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + _DAY)


def _midnights(days: _Times, zone: str) -> _Times:
    """UTC instants at which local dates begin, also where daylight saving skips midnight."""
    local = pa.array(days.astype("datetime64[us]"))
    aware = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")
    return np.asarray(aware.cast(TIMESTAMP).to_numpy(zero_copy_only=False))


def _local_dates(instants: _Times, zone: str) -> _Times:
    aware = pa.array(instants.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC"))
    local = pc.local_timestamp(aware.cast(pa.timestamp("us", zone)))
    return np.asarray(local.to_numpy(zero_copy_only=False).astype("datetime64[D]"))


def _dates_table(
    starts: _Times, ends: _Times, days: _Times, opens: _Times, closes: _Times
) -> pa.Table:
    columns = [starts, ends, days.astype("datetime64[D]"), opens, closes]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, DATES, strict=True)], schema=DATES
    )
