"""Prices: what is found of planted errors, and how often a clean market is called wrong."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.lib.schemas import SILVER_CORPORATE_ACTIONS
from stock_pipeline.quality.findings import KINDS, Limits, as_rows, summary, worst_first
from stock_pipeline.quality.prices import robust_scores
from stock_pipeline.quality.series import medians, series_of
from stock_pipeline_tests.support.quality_bars import NOW, daily, found, intraday, walk

SEEDS = st.integers(0, 10_000)
PRICES = ("open", "high", "low", "close")


def planted(columns, rows, factor):
    return columns | {
        name: np.where(np.isin(np.arange(len(columns[name])), rows), columns[name] * factor, 0)
        + np.where(np.isin(np.arange(len(columns[name])), rows), 0, columns[name])
        for name in PRICES
    }


@given(SEEDS, st.integers(1, 248), st.sampled_from([0.01, 100.0, 10_000.0]), st.integers(1, 60))
def test_a_run_100_times_off_is_one_finding_with_its_first_and_last_bar(seed, first, factor, count):
    rows = np.arange(first, min(first + count, 250))
    bars = daily(planted(walk(250, seed), rows, factor))
    (finding,) = found(bars)
    days = bars["trade_date"].to_pylist()
    assert finding.kind == "scale"
    assert finding.certain
    assert (finding.start.date(), finding.end.date()) == (days[rows[0]], days[rows[-1]])
    assert finding.value == pytest.approx(factor)


@given(SEEDS, st.integers(1, 247), st.floats(0.25, 0.9), st.booleans())
def test_a_single_wrong_bar_beyond_the_floor_is_found(seed, row, size, down):
    factor = np.exp(-size if down else size)
    bars = daily(planted(walk(250, seed), [row], factor))
    told = [f for f in found(bars) if f.kind in {"outlier", "split"}]
    assert [f.start.date() for f in told] == [bars["trade_date"][row].as_py()]


@given(SEEDS, st.floats(0.001, 0.025))
def test_a_clean_random_walk_has_no_finding(seed, sigma):
    assert found(daily(walk(250, seed, sigma))) == []
    assert found(intraday(walk(390, seed, sigma / 20))) == []


def test_without_a_floor_fewer_than_two_in_a_thousand_normal_returns_are_outliers():
    # P(|z| > 3.5) of a normal is 0.00047; MAD of 250 returns adds its own noise.
    limits = Limits(outlier_floor_daily=0.0)
    table = pa.concat_tables([daily(walk(250, seed), symbol=f"S{seed}") for seed in range(200)])
    bars = series_of(table)
    score, _ = robust_scores(bars, bars.returns, limits.outlier_least_bars)
    share = np.mean(np.abs(score[bars.follows]) > limits.zscore)
    assert 0 < share < 0.002


def test_the_score_is_that_of_iglewicz_and_hoaglin():
    closes = np.exp(np.cumsum([0, 0.01, -0.02, 0.03, 0.0, 0.5]))
    bars = series_of(daily(dict.fromkeys(PRICES, closes) | {"volume": np.ones(6)}))
    score, far = robust_scores(bars, bars.returns, 1)
    # Of 0.01, -0.02, 0.03, 0, 0.5: median 0.01; deviations 0, 0.03, 0.02, 0.01, 0.49: MAD 0.02.
    assert score[1:] == pytest.approx(0.6745 * np.array([0, -1.5, 1, -0.5, 24.5]), abs=1e-9)
    assert far[5] == pytest.approx(0.49)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), min_size=1, max_size=40))
def test_medians_of_series_are_those_of_numpy(pairs):
    of = np.array([series for series, _ in pairs])
    values = np.array([value for _, value in pairs])
    expected = [np.median(values[of == s]) if (of == s).any() else np.nan for s in range(4)]
    assert medians(values, of, 4) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("ratio", [1.5, 2, 3, 5, 10, 20, 1 / 5, 1 / 10])
def test_a_split_that_no_action_tells_is_found_and_a_known_one_is_not(ratio):
    columns = planted(walk(60), np.arange(30), ratio)
    bars = daily(columns)
    day = bars["trade_date"][30].as_py()
    (finding,) = found(bars)
    assert (finding.kind, finding.start.date()) == ("split", day)
    assert found(bars, actions=split(day, ratio)) == []


def test_a_split_that_the_adjusted_close_knows_is_none_to_tell_of():
    columns = planted(walk(60), np.arange(30), 4.0)
    adjusted = np.where(np.arange(60) < 30, columns["close"] / 4, columns["close"])
    assert found(daily(columns | {"adjusted_close": adjusted})) == []


def test_a_crash_of_a_third_overnight_that_recovers_is_an_outlier_and_no_split():
    bars = daily(planted(walk(60), [30], 2 / 3))
    assert [f.kind for f in found(bars)] == ["outlier"]


def test_a_series_that_never_has_volume_is_not_told_of():
    columns = walk(60) | {"volume": np.zeros(60)}
    assert found(daily(columns)) == []


def test_bars_of_before_and_after_hours_may_lack_volume():
    columns = walk(450, sigma=0.0005)
    columns["volume"][:60] = 0
    first = intraday(walk(1))["bar_start"][0].as_py() - timedelta(hours=1)
    starts = [first + timedelta(minutes=i) for i in range(450)]
    assert found(intraday(columns, starts)) == []
    columns["volume"][60:65] = 0
    assert [(f.kind, f.bars) for f in found(intraday(columns, starts))] == [("volume", 5)]


@pytest.mark.parametrize(("minutes", "told"), [(59, []), (60, ["stale"])])
def test_a_price_that_stands_still_for_an_hour_is_stale(minutes, told):
    columns = walk(390, sigma=0.0005)
    for name in PRICES:
        columns[name][100 : 100 + minutes] = columns["close"][100]
    assert [f.kind for f in found(intraday(columns))] == told


def test_a_price_that_stands_still_before_the_open_is_none_to_tell_of():
    columns = walk(450, sigma=0.0005)
    for name in PRICES:
        columns[name][:60] = columns["open"][60]
    first = intraday(walk(1))["bar_start"][0].as_py() - timedelta(hours=1)
    starts = [first + timedelta(minutes=i) for i in range(450)]
    assert found(intraday(columns, starts)) == []


def test_findings_are_sorted_by_weight_and_summed_up_in_one_sentence():
    bars = daily(planted(walk(250), np.arange(100, 110), 100.0))
    spike = daily(planted(walk(250, 2), [50], 1.3), symbol="OTHER")
    findings = worst_first(found(spike) + found(bars))
    assert [f.kind for f in findings] == ["scale", "outlier"]
    assert summary(findings) == "1 prices 100 times off, 1 outliers in 2 symbols"
    assert as_rows(findings)[0]["from"] == str(bars["trade_date"][100])
    assert {f.kind for f in findings} <= KINDS.keys()


def split(day: date, ratio: float) -> pa.Table:
    row = {"symbol": "ACME", "ex_date": day, "kind": "split", "source": "yahoo", "ratio": ratio}
    row |= {"incarnation": 1, "kafka_timestamp": NOW, "kafka_partition": 0, "kafka_offset": 0}
    row |= {"amount": None, "currency": None}
    return pa.Table.from_pylist([row], schema=SILVER_CORPORATE_ACTIONS)
