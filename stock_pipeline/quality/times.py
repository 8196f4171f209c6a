"""Bars where none should be, or none where they should: gaps, other time zones, copies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache

import numpy as np

from stock_pipeline.lib.sessions import ALWAYS_OPEN, breaks_of, dates_of
from stock_pipeline.quality.completeness import SHARE_EXPECTED
from stock_pipeline.quality.findings import Limits, QualityFinding
from stock_pipeline.quality.series import BarSeries, Flags, finding_of

MINUTE = np.timedelta64(1, "m")

#: Zones differ by at most this, in steps of this; both in minutes.
_MOST_SHIFT, _SHIFT_STEP = 14 * 60, 30

CalendarOf = Callable[[str, str], str]


def shifted_sessions(bars: BarSeries) -> tuple[list[QualityFinding], set[int]]:
    """Series that fill a regular session, hours away from where it is.

    Returns:
        The findings, and the numbers of these series.
    """
    findings: list[QualityFinding] = []
    shifted: set[int] = set()
    outside = ~bars.regular & ~np.isnat(bars.opens)
    for series in np.unique(bars.of[outside]):
        rows = slice(int(bars.first[series]), int(bars.first[series + 1]))
        opens, closes = bars.opens[rows][0], bars.closes[rows][0]
        length = int(bars.minutes[series])
        expected = int((closes - opens) / MINUTE) // length if length else 0
        count = rows.stop - rows.start
        if not expected or not SHARE_EXPECTED * expected <= count <= expected + 1:
            continue
        times = bars.times[rows]
        minutes = int(np.rint((times[0] - opens) / MINUTE / _SHIFT_STEP)) * _SHIFT_STEP
        away = minutes * MINUTE
        inside = (times >= opens + away) & (times <= closes + away)
        begins = abs(times[0] - opens - away) <= length * MINUTE
        if not 0 < abs(minutes) <= _MOST_SHIFT or not begins or not inside.all():
            continue
        shifted.add(int(series))
        findings.append(
            finding_of(
                bars,
                "shifted",
                (rows.start, rows.stop),
                f"a whole session from {_clock(times[0])} to {_clock(times[-1])} UTC",
                f"{abs(minutes) / 60:g} hours {'earlier' if minutes > 0 else 'later'}:"
                f" {_clock(opens)} to {_clock(closes)} UTC",
                minutes / 60,
                certain=True,
            )
        )
    return findings, shifted


def outside_hours(
    bars: BarSeries, limits: Limits, calendar_of: CalendarOf, shifted: set[int]
) -> list[QualityFinding]:
    """Intraday bars before the early or after the late trading of their calendar."""
    findings: list[QualityFinding] = []
    early, late = (np.zeros(len(bars.keys), dtype="timedelta64[m]") for _ in range(2))
    open_always = np.zeros(len(bars.keys), dtype=bool)
    for number, (symbol, source, _) in enumerate(bars.keys):
        calendar = calendar_of(symbol, source)
        open_always[number] = calendar == ALWAYS_OPEN or number in shifted
        margins = limits.extended_minutes.get(calendar, limits.extended_minutes_default)
        early[number], late[number] = (np.timedelta64(m, "m") for m in margins)
    inside = (bars.times >= bars.opens - early[bars.of]) & (
        bars.times < bars.closes + late[bars.of]
    )
    for start, end in bars.runs(~inside & ~open_always[bars.of]):
        opens, closes = bars.opens[start], bars.closes[start]
        number = bars.of[start]
        expected = (
            "no bar: the date has no session"
            if np.isnat(opens)
            else f"{_clock(opens - early[number])} to {_clock(closes + late[number])} UTC"
        )
        found = f"bars from {_clock(bars.times[start])} to {_clock(bars.times[end - 1])} UTC"
        findings.append(finding_of(bars, "outside", (start, end), found, expected, end - start))
    return findings


def days_without_session(
    bars: BarSeries, calendar_of: CalendarOf
) -> tuple[list[QualityFinding], Flags]:
    """Daily bars on dates without a session; those that copy the bar before are copies.

    Returns:
        The findings, and the bars they are about.
    """
    chosen: Flags = np.zeros(len(bars), dtype=bool)
    days = bars.times.astype("datetime64[D]")
    for number, (symbol, source, _) in enumerate(bars.keys):
        rows = slice(int(bars.first[number]), int(bars.first[number + 1]))
        sessions, first = _session_days(calendar_of(symbol, source))
        chosen[rows] = (days[rows] >= first) & ~np.isin(days[rows], sessions)
    copies = np.flatnonzero(chosen & same_prices(bars))
    findings = [
        finding_of(
            bars,
            "duplicate",
            (int(row), int(row) + 1),
            f"the bar of {days[row - 1]} again, close {bars.close[row]:.6g}",
            "no bar: the date has no session",
            float(bars.close[row]),
            certain=True,
        )
        for row in copies
    ]
    alone = chosen.copy()
    alone[copies] = False
    for start, end in bars.runs(alone):
        weekday = bars.at(start).strftime("%A")
        found = f"a bar on a {weekday}, close {bars.close[start]:.6g}"
        findings.append(
            finding_of(
                bars, "outside", (start, end), found, "no bar: the date has no session", end - start
            )
        )
    return findings, chosen


def copied_bars(bars: BarSeries, told: Flags) -> list[QualityFinding]:
    """Bars with range that repeat all prices and the volume of the bar before."""
    same = same_prices(bars) & (bars.high > bars.low) & ~told
    same[1:] &= bars.volume[1:] == bars.volume[:-1]
    return [
        finding_of(
            bars,
            "duplicate",
            (start, end),
            f"prices and volume of the bar before, close {bars.close[start]:.6g}",
            "another bar",
            end - start,
        )
        for start, end in bars.runs(same)
    ]


def same_prices(bars: BarSeries) -> Flags:
    """Whether a bar has the four prices of the one before."""
    same = bars.follows.copy()
    for prices in (bars.open, bars.high, bars.low, bars.close):
        same[1:] &= prices[1:] == prices[:-1]
    return same


def gaps(
    bars: BarSeries, limits: Limits, calendar_of: CalendarOf, now: datetime
) -> list[QualityFinding]:
    """Missing bars in a row, inside the regular session, of series that mostly have each bar.

    The session's edges count when it is over; around the clock there are none.
    """
    findings: list[QualityFinding] = []
    for number, (symbol, source, _) in enumerate(bars.keys):
        length = int(bars.minutes[number])
        rows = np.arange(bars.first[number], bars.first[number + 1])
        rows = rows[bars.regular[rows]]
        if not length or len(rows) < 2:
            continue
        times, step = bars.times[rows], length * MINUTE
        if np.median(np.diff(times)) > step:
            continue
        calendar = calendar_of(symbol, source)
        edges = calendar != ALWAYS_OPEN and bars.closes[rows[0]] <= np.datetime64(now, "us")
        ends = np.append(times + step, bars.closes[rows[0]])
        begins = np.append(times, bars.closes[rows[0]])
        starts = np.concatenate([[bars.opens[rows[0]]], ends[:-1]])
        missing = (begins - starts) // step
        pause = breaks_of(calendar).get(bars.at(int(rows[0])).date())
        if pause:
            low, high = (np.datetime64(t, "us") for t in pause)
            overlap = np.minimum(begins, high) - np.maximum(starts, low)
            missing -= np.maximum(overlap, np.timedelta64(0)) // step
        if not edges:
            missing[0] = missing[-1] = 0
        least = max(2, -(-limits.gap_minutes // length))
        findings.extend(
            QualityFinding(
                "gap",
                *bars.keys[number],
                starts[at].astype("datetime64[us]").astype(object),
                (begins[at] - step).astype("datetime64[us]").astype(object),
                int(missing[at]),
                f"no bar from {_clock(starts[at])} to {_clock(begins[at])} UTC",
                f"{int(missing[at])} bars of {length} minutes",
                float(missing[at]),
            )
            for at in np.flatnonzero(missing >= least)
        )
    return findings


@cache
def _session_days(calendar: str) -> tuple[np.ndarray, np.datetime64]:
    table = dates_of(calendar)
    real = table["session_open"].is_valid()
    days = table["trade_date"].filter(real).to_numpy().astype("datetime64[D]")
    return days, days[0]


def _clock(instant: np.datetime64) -> str:
    return f"{instant.astype('datetime64[us]').astype(object):%H:%M}"
