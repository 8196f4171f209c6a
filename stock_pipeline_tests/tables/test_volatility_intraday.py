"""A test for every definition of realised volatility, against formulas written out in Python."""

import math
from datetime import datetime
from itertools import pairwise
from statistics import stdev

import numpy as np
import pytest

from stock_pipeline.lib.schemas import GOLD_VOLATILITY_INTRADAY, VOLATILITY_INTRADAY_TABLE
from stock_pipeline.tables.checks import violations
from stock_pipeline_tests.support.bar_tables import CLOSE, OPEN, at, intraday
from stock_pipeline_tests.support.gold_tables import volatility_intraday

EVENING = at(600)


def bars(minutes, seed=3, **same):
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.001, len(minutes))))
    return [
        {
            "bar_start": at(minute),
            "close": float(close),
            "high": float(close) * 1.001,
            "low": float(close) * 0.999,
            "vwap": float(close),
            "volume": float(1 + minute % 3),
            "trade_count": 2,
            "kafka_timestamp": EVENING,
            **same,
        }
        for minute, close in zip(minutes, closes, strict=True)
    ]


def make(rows, precedence=()):
    made = volatility_intraday(intraday(*rows), precedence)
    assert made.schema == GOLD_VOLATILITY_INTRADAY
    assert violations(VOLATILITY_INTRADAY_TABLE, made) == []
    return made.to_pylist()


def window(rows, label="session", start=OPEN, **options):
    [found] = [
        row
        for row in make(rows, **options)
        if (row["symbol"], row["window_label"], row["window_start"]) == ("A", label, start)
    ]
    return found


def returns(rows):
    return [math.log(b["close"] / a["close"]) for a, b in pairwise(rows)]


def test_realized_variance_sums_the_squared_returns_of_the_session():
    rows = bars(range(60))
    r = returns(rows)
    found = window(rows)
    rv = sum(x * x for x in r)
    bv = math.pi / 2 * sum(abs(a) * abs(b) for a, b in pairwise(r))
    assert found["realized_variance"] == pytest.approx(rv, rel=1e-12)
    assert found["bipower_variation"] == pytest.approx(bv, rel=1e-12)
    assert found["jump_share"] == pytest.approx(max(0, rv - bv) / rv, rel=1e-9)
    assert found["realized_volatility"] == pytest.approx(math.sqrt(252 * rv), rel=1e-12)
    assert found["bar_count"] == 60


def test_a_jump_is_a_share_of_variance_and_never_negative():
    quiet = bars(range(60))
    jumped = [
        {**row, "close": row["close"] * (1.2 if i >= 30 else 1)} for i, row in enumerate(quiet)
    ]
    jumped = [{**row, "high": 130.0, "low": 50.0} for row in jumped]
    assert window(jumped)["jump_share"] > 0.9
    even = [{**row, "close": 100 * 1.001**i} for i, row in enumerate(jumped)]
    assert window(even)["jump_share"] == 0.0


def test_windows_are_aligned_to_the_sessions_open_and_their_first_bar_is_the_base():
    rows = bars(range(70))
    starts = {(row["window_label"], row["window_start"]) for row in make(rows)}
    lengths = {"5m": 5, "15m": 15, "30m": 30, "1h": 60}
    assert starts == {("session", OPEN)} | {
        (label, at(minute)) for label, n in lengths.items() for minute in range(0, 70, n)
    }
    for label, n in lengths.items():
        for first in range(0, 70, n):
            inside = rows[first : first + n]
            found = window(rows, label, at(first))
            rv = sum(x * x for x in returns(inside))
            assert found["realized_variance"] == pytest.approx(rv, rel=1e-12)
            assert found["bar_count"] == len(inside)
            assert found["high"] == max(row["high"] for row in inside)
            assert found["low"] == min(row["low"] for row in inside)
            assert found["trade_count"] == 2 * len(inside)


def test_a_session_that_opens_the_evening_before_is_aligned_to_that_evening():
    session = {
        "session_open": datetime(2024, 2, 29, 23, 7),
        "session_close": datetime(2024, 3, 1, 22, 0),
    }
    rows = [{**row, **session} for row in bars([0])]
    found = {row["window_label"]: row["window_start"] for row in make(rows)}
    # 14:30 is minute 923 of the session: 923 = 15 h and 23 minutes.
    assert found["session"] == session["session_open"]
    assert found["1h"] == datetime(2024, 3, 1, 14, 7)
    assert found["5m"] == datetime(2024, 3, 1, 14, 27)


def test_only_one_minute_bars_inside_the_regular_session_count():
    rows = bars([0, 1, 2, 389])
    noise = [
        *bars([-1, 390], seed=9),
        *bars([1, 2], seed=8, interval="5m"),
        *bars([5], seed=7, symbol="B", session_open=None, session_close=None),
        *bars([390], seed=7, symbol="C"),
    ]
    assert make(rows + noise) == make(rows)


def test_a_missing_minute_is_bridged_and_never_filled():
    rows = bars([0, 1, 7, 8])
    found = window(rows)
    assert found["realized_variance"] == pytest.approx(sum(x * x for x in returns(rows)))
    assert found["bar_count"] == 4


def test_one_bar_has_no_return_and_two_bars_no_product():
    one = window(bars([0]))
    assert one["realized_variance"] is one["realized_volatility"] is one["jump_share"] is None
    two = window(bars([0, 1]))
    assert two["realized_variance"] > 0
    assert two["bipower_variation"] is two["jump_share"] is None


def test_prices_that_stand_still_have_variance_zero_and_no_jump_share():
    rows = [{**row, "close": 100.0} for row in bars(range(4))]
    found = window(rows)
    assert (found["realized_variance"], found["realized_volatility"]) == (0.0, 0.0)
    assert found["jump_share"] is None


def test_vwap_weighs_by_volume_and_is_unknown_where_it_cannot_be_known():
    rows = bars([0, 1, 2])
    weight = sum(row["volume"] for row in rows)
    right = sum(row["vwap"] * row["volume"] for row in rows) / weight
    assert window(rows)["vwap"] == pytest.approx(right)
    assert window([{**row, "volume": 0.0} for row in rows])["vwap"] is None
    assert window([*rows[:2], {**rows[2], "vwap": None}])["vwap"] is None
    assert window([*rows[:2], {**rows[2], "vwap": None, "volume": 0.0}])["vwap"] is not None


def test_the_zscore_sets_the_last_return_against_the_sessions_returns_before_it():
    rows = bars(range(20))
    r = returns(rows)
    assert window(rows)["last_return_zscore"] == pytest.approx(r[-1] / stdev(r[:-1]), rel=1e-11)
    # Of a window within the session the returns before it count, though they lie outside.
    found = window(rows, "5m", at(5))
    assert found["last_return_zscore"] == pytest.approx(r[8] / stdev(r[:8]), rel=1e-11)
    # A standard deviation needs two returns.
    assert window(bars(range(3)))["last_return_zscore"] is None
    assert window(bars(range(4)))["last_return_zscore"] is not None
    still = [{**row, "close": 100.0} for row in bars(range(5))]
    assert window(still)["last_return_zscore"] is None


def test_a_window_that_the_data_have_passed_is_complete_though_its_minutes_are_few():
    assert window(bars([0]), "5m")["complete"]
    assert window(bars([0]))["complete"]


def test_a_window_is_incomplete_until_the_data_reach_its_end():
    early = {"kafka_timestamp": at(3)}
    rows = bars([0, 1, 2], **early)
    assert not window(rows, "5m")["complete"]
    assert window([*rows, *bars([4], **early)], "5m")["complete"]
    assert window([*rows, *bars([0], symbol="B", kafka_timestamp=at(5))], "5m")["complete"]
    other = bars([0], interval="1h", symbol="B", **early)
    assert not window([*rows, *other], "5m")["complete"], "an hourly bar may be unfinished"
    assert window([*rows, *bars([-4], kafka_timestamp=at(5))], "5m")["complete"]


def test_a_window_that_the_close_cuts_short_is_never_complete():
    rows = bars([389], kafka_timestamp=at(10_000))
    assert window(rows, "30m", at(360))["complete"]
    assert not window(rows, "1h", at(360))["complete"]
    assert window(rows)["complete"]
    half = [{**row, "session_close": at(210)} for row in bars([0, 209])]
    assert not window(half, "1h", at(180))["complete"]
    assert at(390) == CLOSE


def test_the_first_source_of_the_precedence_speaks_for_a_symbol():
    ours = bars([0, 1, 2], source="b")
    others = bars([0, 1, 2, 3], seed=4, source="a")
    assert window(ours + others, precedence=("b",)) == window(ours)
    assert window(ours + others) == window(others)
    # A source without 1-minute bars in the session has nothing to say.
    hourly = bars([0], source="c", interval="1h")
    assert window(ours + hourly, precedence=("c",)) == window(ours)


def test_each_symbol_is_annualised_by_its_own_calendar():
    rows = bars(range(5))
    always = [{**row, "sessions_per_year": 365.0} for row in rows]
    ratio = window(always)["realized_volatility"] / window(rows)["realized_volatility"]
    assert ratio == pytest.approx(math.sqrt(365 / 252))


def test_a_day_without_bars_makes_no_rows():
    assert make([]) == []
    assert make(bars([0], interval="1h")) == []
