"""The trade_dates and minutes of a batch's rows, which its decision records for silver."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.ingest.documents import TradeDateSpan
from stock_pipeline.lib.intervals import merged

#: Most ranges of a date; beyond this, ranges are joined across their narrowest gaps.
MAX_RANGES = 64

_EPOCH = date(1970, 1, 1)
_MINUTES_A_DAY = 1440
#: Bounds of minutes since 1970 that leave room for every year of our tables.
_MINUTES, _FIRST_MINUTE = 2**31, -(2**30)

Ranges = tuple[tuple[int, int], ...]


def trade_date_spans(rows: pa.Table) -> dict[date, TradeDateSpan]:
    """Rows and minutes of each trade_date of a bronze table of any format.

    Minutes are half-open ranges since 1970-01-01 UTC of event times or bar starts; of daily rows
    the one minute of the date's midnight.
    """
    if rows.num_rows == 0:
        return {}
    days = rows["trade_date"].cast(pa.int32()).to_numpy().astype(np.int64)
    minutes = _minutes(rows, days)
    # Day and minute are packed into one number: sorting pairs takes ten times as long.
    numbers = days * _MINUTES + minutes - _FIRST_MINUTE
    distinct = np.unique(numbers[np.append(True, numbers[1:] != numbers[:-1])])
    found, found_minutes = distinct // _MINUTES, distinct % _MINUTES + _FIRST_MINUTE
    first = int(days.min())
    counts = np.bincount(days - first)
    daily = np.bincount(days[_is_daily_bar(rows)] - first, minlength=len(counts))
    return {
        _EPOCH + timedelta(days=day): TradeDateSpan(
            rows=int(counts[day - first]),
            minutes=_ranges_of(found_minutes[found == day]),
            daily_rows=int(daily[day - first]),
        )
        for day in np.unique(found).tolist()
    }


def merge_spans(
    a: Mapping[date, TradeDateSpan], b: Mapping[date, TradeDateSpan]
) -> dict[date, TradeDateSpan]:
    """The spans of both: row counts are added, minutes are united."""
    joined = dict(a)
    for day, span in b.items():
        mine = joined.get(day)
        joined[day] = span if mine is None else _merge(mine, span)
    return dict(sorted(joined.items()))


def event_time_span(rows: pa.Table) -> tuple[datetime, datetime] | None:
    """First and last event time (trades), bar start or trade_date midnight, naive UTC."""
    if rows.num_rows == 0:
        return None
    column = next(c for c in ("event_time", "bar_start", "trade_date") if c in rows.column_names)
    span = pc.min_max(rows[column].cast(pa.timestamp("us"))).as_py()
    return span["min"], span["max"]


def _is_daily_bar(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether a row is a daily bar, which belongs to a year of bars_daily, not to a date."""
    if "interval" not in rows.column_names:
        return np.zeros(rows.num_rows, dtype=bool)
    return np.asarray(pc.equal(rows["interval"], "1d").to_numpy())


def _minutes(rows: pa.Table, days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    for column in ("event_time", "bar_start"):
        if column in rows.column_names:
            micros: Any = rows[column].cast(pa.int64()).to_numpy()
            return np.asarray(np.floor_divide(micros, 60_000_000))
    return days * _MINUTES_A_DAY


def _ranges_of(minutes: npt.NDArray[np.int64]) -> Ranges:
    """Half-open ranges of sorted distinct minutes."""
    breaks = np.flatnonzero(np.diff(minutes) > 1)
    starts = minutes[np.concatenate([[0], breaks + 1])]
    ends = minutes[np.append(breaks, len(minutes) - 1)] + 1
    return _limited(tuple(zip(starts.tolist(), ends.tolist(), strict=True)))


def _merge(a: TradeDateSpan, b: TradeDateSpan) -> TradeDateSpan:
    return TradeDateSpan(
        rows=a.rows + b.rows,
        minutes=_limited(merged([*a.minutes, *b.minutes])),
        daily_rows=a.daily_rows + b.daily_rows,
    )


def _limited(ranges: Ranges) -> Ranges:
    """At most MAX_RANGES ranges that cover these; the widest gaps are kept."""
    if len(ranges) <= MAX_RANGES:
        return ranges
    gaps = [after[0] - before[1] for before, after in pairwise(ranges)]
    keep = sorted(sorted(range(len(gaps)), key=lambda g: -gaps[g])[: MAX_RANGES - 1])
    starts = [ranges[0][0], *(ranges[g + 1][0] for g in keep)]
    ends = [*(ranges[g][1] for g in keep), ranges[-1][1]]
    return tuple(zip(starts, ends, strict=True))
