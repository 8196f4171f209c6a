"""A test for every definition of daily volatility, against formulas written out in Python."""

import itertools
import math
from datetime import date
from statistics import stdev, variance

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_pipeline.lib.schemas import GOLD_VOLATILITY_DAILY, VOLATILITY_DAILY_TABLE
from stock_pipeline.tables.checks import violations
from stock_pipeline.tables.volatility import volatility_daily
from stock_pipeline_tests.support.bar_tables import daily, rows_of, series

ESTIMATORS = ("close_to_close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang")
RANGES = ESTIMATORS[1:]


def make(rows, windows=(5,), year=2024, state=None, ewma_lambda=0.94, precedence=()):
    made, after = volatility_daily(
        daily(*rows), year, windows, ewma_lambda, precedence, state or {}
    )
    assert made.schema == GOLD_VOLATILITY_DAILY
    assert violations(VOLATILITY_DAILY_TABLE, made) == []
    return made.to_pylist(), after


def last(rows, **options):
    return make(rows, **options)[0][-1]


def expected(rows, n, yearly=252.0):
    """The estimators over the last n bars, each formula as its paper has it."""
    bars = rows[-n:]
    closes = [row["close"] for row in rows[-n - 1 :]]
    r = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    o = [math.log(row["open"] / before) for row, before in zip(bars, closes, strict=False)]
    c = [math.log(row["close"] / row["open"]) for row in bars]
    p = [math.log(row["high"] / row["low"]) ** 2 for row in bars]
    rs = [
        math.log(b["high"] / b["close"]) * math.log(b["high"] / b["open"])
        + math.log(b["low"] / b["close"]) * math.log(b["low"] / b["open"])
        for b in bars
    ]
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    variances = {
        "close_to_close": variance(r),
        "parkinson": sum(p) / (4 * n * math.log(2)),
        "garman_klass": (sum(p) / 2 - (2 * math.log(2) - 1) * sum(x * x for x in c)) / n,
        "rogers_satchell": sum(rs) / n,
        "yang_zhang": variance(o) + k * variance(c) + (1 - k) * sum(rs) / n,
    }
    return {name: math.sqrt(v * yearly) for name, v in variances.items()}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n", [2, 5, 20])
def test_an_estimator_is_its_papers_formula(estimator, n):
    rows = series(25)
    found = last(rows, windows=(n,))[estimator]
    assert found == pytest.approx(expected(rows, n)[estimator], rel=1e-11)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_window_is_full_or_null(estimator):
    """Window 5 needs 5 bars, and close-to-close and Yang-Zhang the close before them."""
    bars_needed = 6 if estimator in ("close_to_close", "yang_zhang") else 5
    valid = [row[estimator] is not None for row in make(series(8))[0]]
    assert valid == [number >= bars_needed for number in range(2, 9)]


def test_rows_begin_with_the_first_return_and_say_how_many_bars_they_saw():
    found, _ = make(series(7), windows=(3, 5))
    assert [(r["window_days"], r["observations"]) for r in found][:6] == [
        (3, 2),
        (5, 2),
        (3, 3),
        (5, 3),
        (3, 3),
        (5, 4),
    ]
    assert make(series(1))[0] == []
    assert make([])[0] == []


def test_windows_reach_back_into_the_years_before_but_rows_do_not():
    rows = series(40, start=date(2023, 12, 10))
    found, _ = make(rows, windows=(20,))
    assert found[0]["trade_date"] == date(2024, 1, 1)
    assert found[0]["parkinson"] == pytest.approx(expected(rows[:23], 20)["parkinson"], rel=1e-11)
    assert found[0]["yang_zhang"] == pytest.approx(expected(rows[:23], 20)["yang_zhang"], rel=1e-11)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_year_before_gives_the_same_values_as_one_long_year(estimator):
    """Bars beyond the longest window's reach are left out and must not matter."""
    rows = series(700, start=date(2022, 2, 1))
    found = [row for row in make(rows, windows=(5, 30))[0] if row["window_days"] == 30]
    for row in found[:: max(1, len(found) // 7)]:
        until = next(i for i, r in enumerate(rows) if r["trade_date"] == row["trade_date"]) + 1
        right = expected(rows[:until], 30)[estimator]
        assert row[estimator] == pytest.approx(right, rel=1e-10)


def test_annualisation_is_the_root_of_the_calendars_sessions():
    rows = series(6)
    always = [{**row, "sessions_per_year": 365.0} for row in rows]
    for name in (*ESTIMATORS, "ewma"):
        assert last(always)[name] == pytest.approx(last(rows)[name] * math.sqrt(365 / 252))


def test_adjusted_prices_hide_a_split():
    rows = series(8)
    split = [
        {
            **row,
            "adjusted_close": row["close"],
            **({k: row[k] * 4 for k in ("open", "high", "low", "close")} if day < 5 else {}),
        }
        for day, row in enumerate(rows)
    ]
    raw = [{**row, "adjusted_close": None} for row in split]
    for name in (*ESTIMATORS, "ewma"):
        assert last(split)[name] == pytest.approx(last(rows)[name], rel=1e-11)
    assert last(raw)["close_to_close"] > 3 * last(rows)["close_to_close"]


def test_an_impossible_adjusted_close_is_no_adjustment():
    rows = series(8)
    for bad in (0.0, -1.0):
        wrong = [{**rows[0], "adjusted_close": bad}, *rows[1:]]
        assert make(wrong)[0] == make(rows)[0]


def test_ewma_begins_with_the_first_squared_return_and_includes_the_days_own():
    rows = series(10)
    closes = [row["close"] for row in rows]
    returns = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    s2, right = None, []
    for r in returns:
        s2 = r * r if s2 is None else 0.94 * s2 + 0.06 * r * r
        right.append(math.sqrt(s2 * 252))
    assert [row["ewma"] for row in make(rows)[0]] == pytest.approx(right, rel=1e-12)


def test_ewma_goes_on_over_the_years_by_its_state():
    rows = series(900, start=date(2022, 7, 1))
    state, found = {}, []
    for year in (2022, 2023, 2024):
        made, state = make(rows, year=year, state=state)
        found += [row["ewma"] for row in made]
    s2 = None
    for before, row in itertools.pairwise(rows):
        r = math.log(row["close"] / before["close"])
        s2 = r * r if s2 is None else 0.94 * s2 + 0.06 * r * r
    end = rows[-1]["trade_date"].year
    assert end == 2024
    assert found[-1] == pytest.approx(math.sqrt(s2 * 252), rel=1e-12)
    assert state == {"A": (pytest.approx(s2, rel=1e-12), rows[-1]["close"])}


def test_a_symbol_that_paused_for_years_goes_on_from_its_state():
    rows = series(4)
    found, after = make(rows, state={"A": (4e-4, 90.0)}, windows=(4,))
    r = math.log(rows[0]["close"] / 90.0)
    assert found[0]["ewma"] == pytest.approx(math.sqrt((0.94 * 4e-4 + 0.06 * r * r) * 252))
    assert found[0]["observations"] == 1
    with_base = [{**rows[0], "close": 90.0}, *rows]
    for name in ESTIMATORS:
        assert found[-1][name] == pytest.approx(expected(with_base, 4)[name], rel=1e-11)
    assert after["A"][1] == rows[-1]["close"]


def test_the_state_of_one_bar_is_its_price_alone():
    _, after = make(series(1))
    assert after == {"A": (None, series(1)[0]["close"])}
    two = series(2)
    found, after = make([{**two[1], "trade_date": date(2025, 1, 2)}], year=2025, state=after)
    r = math.log(two[1]["close"] / two[0]["close"])
    assert [row["ewma"] for row in found] == [pytest.approx(math.sqrt(252 * r * r))]
    assert after == {"A": (pytest.approx(r * r), two[1]["close"])}


def test_the_state_of_symbols_without_bars_is_carried_on():
    _, after = make(series(3), state={"GONE": (1e-4, 5.0), "O'NEIL": (None, 7.0)})
    assert after.keys() == {"A", "GONE", "O'NEIL"}
    assert after["GONE"] == (1e-4, 5.0)
    assert make([], state={"GONE": (1e-4, 5.0)}) == ([], {"GONE": (1e-4, 5.0)})


def test_the_state_holds_the_adjusted_close_of_the_source_that_speaks():
    rows = [{**row, "adjusted_close": row["close"] / 2} for row in series(3)]
    other = [{**row, "source": "z", "close": 1.0, "open": 1.0, "low": 1.0} for row in rows]
    for precedence, price in (((), rows[-1]["close"] / 2), (("z",), other[-1]["adjusted_close"])):
        _, after = make(rows + other, precedence=precedence)
        assert after["A"][1] == price


def flat(row, volume):
    price = row["close"]
    return {**row, "open": price, "high": price, "low": price, "volume": volume}


def test_a_flat_bar_without_volume_is_no_observation_of_a_range():
    rows = series(14)
    rows[6] = flat(rows[6], 0.0)
    found, _ = make(rows, windows=(4,))
    by_bar = dict(zip(range(2, 15), found, strict=True))
    for name in RANGES:
        blind = [bar for bar, row in by_bar.items() if row[name] is None and bar >= 5]
        assert blind == [7, 8, 9, 10]
    assert all(row["close_to_close"] is not None for bar, row in by_bar.items() if bar >= 5)


def test_a_flat_bar_with_volume_counts():
    rows = series(10)
    rows[6] = flat(rows[6], 3.0)
    found = last(rows, windows=(4,))
    for name in ESTIMATORS:
        assert found[name] == pytest.approx(expected(rows, 4)[name], rel=1e-11)


def test_a_price_that_never_moves_has_no_volatility():
    rows = [flat({"trade_date": r["trade_date"], "close": 7.0}, 1.0) for r in series(30)]
    for row in make(rows, windows=(5, 20))[0][-2:]:
        assert [row[name] for name in (*ESTIMATORS, "ewma")] == [0.0] * 6


def test_a_price_that_grows_evenly_has_none_either():
    """Rounding must not turn a variance of zero into NULL."""
    rows = [
        flat({"trade_date": r["trade_date"], "close": 7.0 * 1.01**i}, 1.0)
        for i, r in enumerate(series(60))
    ]
    for row in make(rows, windows=(5,))[0][5:]:
        assert row["close_to_close"] == pytest.approx(0, abs=1e-7)
        assert row["yang_zhang"] == pytest.approx(0, abs=1e-7)


def test_a_wild_day_long_ago_leaves_no_trace_in_quiet_windows():
    """Sums of a window are taken over the window, not as differences of running sums."""
    rows = series(120)
    for row in rows:
        row["close"] = row["open"] = 100.0 * (1 + 1e-6 * (row["trade_date"].toordinal() % 3))
        row["high"], row["low"] = row["close"] * 1.000001, row["close"] * 0.999999
    rows[20] = {**rows[20], "high": 900.0, "close": 800.0, "low": 100.0}
    found = last(rows, windows=(5,))
    for name in ESTIMATORS:
        assert found[name] == pytest.approx(expected(rows, 5)[name], rel=1e-8)


def test_the_first_source_of_the_precedence_speaks_each_day():
    rows = [{**row, "source": "b"} for row in series(6)]
    others = [{**row, "source": "a"} for row in series(6, seed=2)]
    found = last(rows + others, precedence=("b",))
    assert found["source"] == "b"
    assert found["parkinson"] == pytest.approx(expected(rows, 5)["parkinson"])
    assert last(rows + others)["source"] == "a"
    gap = [row for row in rows if row["trade_date"] != rows[2]["trade_date"]]
    sources = [row["source"] for row in make(gap + others, precedence=("b",))[0]]
    assert sources == ["b", "a", "b", "b", "b"]


def test_symbols_do_not_touch_each_other():
    one, two = series(12, symbol="A"), series(9, seed=5, symbol="B")
    both, after = make(one + two, windows=(3, 5))
    assert [row for row in both if row["symbol"] == "A"] == make(one, windows=(3, 5))[0]
    assert [row for row in both if row["symbol"] == "B"] == make(two, windows=(3, 5))[0]
    assert after.keys() == {"A", "B"}


def test_rows_are_sorted_whatever_the_order_of_bars_and_windows():
    rows = series(9, symbol="B") + series(9, seed=5, symbol="A")
    shuffled = daily(*rows).take(np.random.default_rng(0).permutation(18))
    made, _ = volatility_daily(shuffled, 2024, (5, 3, 5), 0.94, (), {})
    assert violations(VOLATILITY_DAILY_TABLE, made) == []
    assert set(rows_of(made, "window_days")) == {(3,), (5,)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(2, 12))
def test_any_series_gives_the_papers_values(seed, count, n):
    rows = series(count, seed=seed)
    found = last(rows, windows=(n,))
    right = expected(rows, n) if count > n else dict.fromkeys(ESTIMATORS)
    for name in ESTIMATORS:
        if count == n and name in ("parkinson", "garman_klass", "rogers_satchell"):
            continue
        assert found[name] == (None if right[name] is None else pytest.approx(right[name]))


def test_many_symbols_are_made_in_parts_with_the_same_result(monkeypatch):
    monkeypatch.setattr("stock_pipeline.tables.volatility.MOST_SYMBOLS", 3)
    rows = [row for s in range(8) for row in series(6, seed=s, symbol=f"S{s}")]
    state = {f"S{s}": (1e-4, 99.0) for s in range(8)} | {"GONE": (1e-4, 1.0)}
    made, after = volatility_daily(daily(*rows), 2024, (2, 5), 0.94, (), state)
    monkeypatch.undo()
    whole, end = volatility_daily(daily(*rows), 2024, (2, 5), 0.94, (), state)
    assert isinstance(made, pa.Table)
    assert made.to_pylist() == whole.to_pylist()
    assert after == end


def test_the_standard_deviation_is_that_of_the_sample():
    rows = series(6)
    closes = [row["close"] for row in rows]
    r = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    assert last(rows)["close_to_close"] == pytest.approx(stdev(r) * math.sqrt(252), rel=1e-12)
