"""Bars where none should be, none where they should: gaps, zones, copies; and other sources."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from stock_pipeline.lib.sessions import breaks_of, session_of
from stock_pipeline.quality.completeness import lunch_breaks, thin_sessions
from stock_pipeline.quality.findings import Limits
from stock_pipeline.quality.series import series_of
from stock_pipeline.quality.sources import disagreements
from stock_pipeline_tests.support.quality_bars import (
    DAY,
    NOW,
    daily,
    found,
    intraday,
    sessions,
    walk,
)

OPEN = datetime(2024, 6, 4, 13, 30)
HALF_DAY = date(2024, 7, 3)
WINTER = date(2024, 1, 16)


def minutes(first: datetime, count: int) -> list[datetime]:
    return [first + timedelta(minutes=i) for i in range(count)]


def calm(count: int, seed: int = 1) -> dict:
    return walk(count, seed, sigma=0.0005)


def without(table: pa.Table, rows: range) -> pa.Table:
    return table.filter(pa.array([i not in rows for i in range(table.num_rows)]))


def kinds(table: pa.Table, **changes) -> list[str]:
    return [f.kind for f in found(table, **changes)]


@pytest.mark.parametrize(("length", "told"), [(14, []), (15, ["gap"]), (120, ["gap"])])
def test_bars_that_lack_in_a_row_are_a_gap(length, told):
    bars = without(intraday(calm(390)), range(100, 100 + length))
    findings = found(bars)
    assert [f.kind for f in findings] == told
    for gap in findings:
        assert gap.bars == length
        assert gap.start == OPEN + timedelta(minutes=100)
        assert gap.end == OPEN + timedelta(minutes=99 + length)


def test_a_gap_at_the_end_counts_once_the_session_is_over():
    bars = intraday(calm(300))
    assert kinds(bars, now=OPEN + timedelta(minutes=300)) == []
    assert kinds(bars) == ["gap"]


def test_a_symbol_that_rarely_trades_has_no_gaps():
    bars = intraday(calm(20), [OPEN + timedelta(minutes=20 * i) for i in range(20)])
    assert kinds(bars) == []


def test_lunch_in_tokyo_is_no_gap_and_no_missing_bar():
    day = date(2024, 6, 4)
    opens, closes = session_of("XTKS", day)
    begin, end = breaks_of("XTKS")[day]
    starts = [t for t in minutes(opens, 360) if t < closes and not begin <= t < end]
    bars = intraday(calm(len(starts)), starts, symbol="7203.T", calendar="XTKS")
    assert kinds(bars) == []
    breaks = lunch_breaks(bars, day, [("*.T", "XTKS")], {})
    assert breaks == {"7203.T": (begin, end)}
    assert thin_sessions(bars, NOW)
    assert thin_sessions(bars, NOW, breaks) == []


def test_a_simulated_market_around_the_clock_is_never_outside_its_hours():
    day = date(2024, 6, 9)
    starts = minutes(datetime(2024, 6, 9, 17, 3), 200)
    bars = intraday(calm(200), starts, symbol="SIM-ALPHA", calendar="24/7", day=day)
    assert kinds(bars) == []


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (DAY, datetime(2024, 6, 4, 8, 0), datetime(2024, 6, 4, 23, 59)),
        (WINTER, datetime(2024, 1, 16, 9, 0), datetime(2024, 1, 17, 0, 59)),
        (HALF_DAY, datetime(2024, 7, 3, 8, 0), datetime(2024, 7, 3, 20, 59)),
    ],
)
def test_extended_hours_of_new_york_are_from_four_to_eight_and_to_five_on_half_days(
    day, first, last
):
    minute = timedelta(minutes=1)
    for instant, told in [
        (first, []),
        (first - minute, ["outside"]),
        (last, []),
        (last + minute, ["outside"]),
    ]:
        assert kinds(intraday(calm(1), [instant], day=day)) == told


def test_bars_on_a_holiday_are_told_of():
    day = date(2024, 7, 4)
    (finding,) = found(intraday(calm(5), minutes(datetime(2024, 7, 4, 14, 0), 5), day=day))
    assert (finding.kind, finding.bars) == ("outside", 5)
    assert "no session" in finding.expected


@pytest.mark.parametrize("hours", [-13, -5, -4, -1, 1, 5.5, 9])
def test_a_session_in_another_time_zone_is_one_finding_with_the_shift(hours):
    bars = intraday(calm(390), minutes(OPEN + timedelta(hours=hours), 390))
    findings = [f for f in found(bars) if f.kind != "gap"]
    assert [(f.kind, f.value) for f in findings] == [("shifted", hours)]


def test_a_day_with_early_and_late_trading_is_not_shifted():
    first = datetime(2024, 6, 4, 8, 0)
    assert kinds(intraday(calm(960), minutes(first, 960))) == []
    assert "shifted" not in kinds(intraday(calm(360), minutes(datetime(2024, 6, 4, 14), 360)))


def test_a_repeated_bar_is_a_copy():
    columns = calm(390)
    for name in columns:
        columns[name][101] = columns[name][100]
    (finding,) = found(intraday(columns))
    assert (finding.kind, finding.start) == ("duplicate", OPEN + timedelta(minutes=101))


def test_a_saturday_with_friday_again_is_a_copy_and_another_one_is_outside():
    days = sessions(10)
    saturday = date(2024, 1, 6)
    at = days.index(date(2024, 1, 5)) + 1
    columns = walk(10)
    longer = {name: np.insert(values, at, values[at - 1]) for name, values in columns.items()}
    dates = [*days[:at], saturday, *days[at:]]
    assert kinds(daily(longer, dates)) == ["duplicate"]
    for name in ("open", "high", "low", "close"):
        longer[name][at] *= 1.001
    assert kinds(daily(longer, dates)) == ["outside"]


def test_sources_that_differ_are_told_of_against_the_one_that_gold_takes():
    ours, theirs = walk(30), walk(30)
    theirs = theirs | {"close": theirs["close"].copy(), "high": theirs["high"] * 1.1}
    theirs["close"][10:13] *= 1.02
    bars = pa.concat_tables([daily(ours), daily(theirs, source="massive")])
    (finding,) = [f for f in found(bars) if f.kind == "disagreement"]
    assert (finding.source, finding.bars) == ("massive", 3)
    assert finding.value == pytest.approx(0.02)
    assert "as yahoo says" in finding.expected


def test_a_day_rolled_up_from_trades_is_compared_elsewhere():
    bars = daily(walk(30))
    rolled = daily(walk(30, seed=9), source="trades")
    at = rolled.schema.get_field_index("bar_count")
    rolled = rolled.set_column(at, "bar_count", pa.array([390] * 30, pa.int64()))
    assert "disagreement" not in kinds(pa.concat_tables([bars, rolled]))


def test_minutes_of_two_sources_are_compared_too():
    bars = [intraday(calm(390)), intraday(calm(390, seed=2) | {}, source="massive")]
    same = [intraday(calm(390)), intraday(calm(390), source="massive")]
    assert "disagreement" in kinds(pa.concat_tables(bars))
    assert kinds(pa.concat_tables(same)) == []


def test_the_work_of_comparing_sources_grows_with_the_bars_not_with_the_pairs(monkeypatch):
    symbols = [f"S{i}" for i in range(40)]
    pairs = [daily(walk(5), symbol=s, source=o) for s in symbols for o in ("yahoo", "massive")]
    bars, looked_at, log = series_of(pa.concat_tables(pairs)), [], np.log
    monkeypatch.setattr(np, "log", lambda values: looked_at.append(len(values)) or log(values))
    assert disagreements(bars, Limits(), ("yahoo", "massive")) == []
    assert sum(looked_at) == 40 * 5


def test_runs_of_a_pair_are_told_apart_where_a_bar_agrees_or_the_other_source_has_none():
    ours = daily(walk(30))
    columns = walk(30)
    columns["close"] = columns["close"] * 1.02
    columns["close"][10] /= 1.02
    theirs = daily(columns | {"high": columns["high"] * 1.1}, source="massive")
    bars = pa.concat_tables([without(ours, range(20, 22)), theirs])
    told = [(f.start.date(), f.end.date(), f.bars) for f in found(bars) if f.kind == "disagreement"]
    days = sessions(30)
    assert told == [
        (days[0], days[9], 10),
        (days[11], days[19], 9),
        (days[22], days[29], 8),
    ]
