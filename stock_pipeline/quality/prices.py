"""Prices that hardly were: 100 times too high, unadjusted splits, outliers, stale, untraded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stock_pipeline.quality.findings import Limits, QualityFinding
from stock_pipeline.quality.series import BarSeries, Flags, Floats, finding_of, medians

LOG_100 = float(np.log(100.0))

#: Normal consistency of the median absolute deviation (Iglewicz and Hoaglin 1993).
MAD_TO_SIGMA = 0.6745


def scale_errors(bars: BarSeries, limits: Limits) -> tuple[list[QualityFinding], Flags]:
    """Runs of bars 100 (10,000, ...) times above or below the rest of their series.

    Returns:
        The findings, and the bars at which a price steps into or out of such a run.
    """
    powers = np.nan_to_num(np.rint(bars.returns / LOG_100))
    steps = (powers != 0) & (np.abs(bars.returns - powers * LOG_100) < limits.scale_tolerance)
    findings: list[QualityFinding] = []
    explained = steps.copy()
    level = np.zeros(len(bars), dtype=np.int64)
    for series in np.unique(bars.of[steps]):
        rows = slice(bars.first[series], bars.first[series + 1])
        own = np.cumsum(np.where(steps[rows], powers[rows], 0)).astype(np.int64)
        values, counts = np.unique(own, return_counts=True)
        # Of two halves the later is believed: a vendor that changed its unit stays with it.
        most = values[counts == counts.max()]
        base = own[-1] if own[-1] in most else most[0]
        level[rows] = own - base
    for power in np.unique(level[level != 0]):
        for start, end in bars.runs(level == power):
            factor = 100.0 ** abs(int(power))
            close = float(bars.close[start])
            right = close / 100.0 ** int(power)
            way = "above" if power > 0 else "below"
            findings.append(
                finding_of(
                    bars,
                    "scale",
                    (start, end),
                    f"close {close:.6g}, {factor:,.0f} times {way} the rest",
                    f"about {right:.6g}",
                    close / right,
                    certain=True,
                )
            )
    # One price of a bar alone: the others of the bar, and its neighbours, are as they should be.
    inside = (np.log(bars.high / bars.low) > LOG_100 - limits.scale_tolerance) & (level == 0)
    for row in np.flatnonzero(inside):
        high, low = float(bars.high[row]), float(bars.low[row])
        findings.append(
            finding_of(
                bars,
                "scale",
                (int(row), int(row) + 1),
                f"low {low:.6g} and high {high:.6g} in one bar",
                "one unit for all prices of a bar",
                high / low,
                certain=True,
            )
        )
    explained |= inside | (level != 0)
    return findings, explained


def outliers(bars: BarSeries, limits: Limits, explained: Flags) -> list[QualityFinding]:
    """Returns, and ranges within a bar, beyond the robust z-score and the floor.

    Args:
        bars: The bars.
        limits: `zscore` and the floors.
        explained: Bars that are told of already.
    """
    floor = limits.outlier_floor_daily if bars.daily else limits.outlier_floor_intraday
    least = limits.outlier_least_bars
    score, far = robust_scores(bars, _of_wild_series(bars, bars.returns, floor), least)
    jumps = (np.abs(score) > limits.zscore) & (far > floor) & ~explained
    findings = []
    for row in np.flatnonzero(jumps):
        step = float(bars.returns[row])
        back = row + 1 < len(bars) and bars.follows[row + 1] and bool(jumps[row + 1])
        reverts = back and np.sign(bars.returns[row + 1]) != np.sign(step)
        came_back = jumps[row - 1] and np.sign(bars.returns[row - 1]) != np.sign(step)
        if came_back and bars.follows[row] and not reverts:
            continue  # The way back of a spike that was told of with its first step.
        shape = "and back in the next bar" if reverts else "and stays"
        findings.append(
            finding_of(
                bars,
                "outlier",
                (int(row), int(row) + 1),
                f"close {bars.close[row - 1]:.6g} to {bars.close[row]:.6g} {shape}",
                f"|z| up to {limits.zscore:g}",
                float(score[row]),
            )
        )
    ranges = _of_wild_series(bars, np.log(bars.high / bars.low), floor)
    score, far = robust_scores(bars, ranges, least)
    wide = (score > limits.zscore) & (far > floor) & ~explained & ~jumps
    # The bar of the way back has the range of the spike.
    findings.extend(
        finding_of(
            bars,
            "outlier",
            (int(row), int(row) + 1),
            f"low {bars.low[row]:.6g}, high {bars.high[row]:.6g}, close {bars.close[row]:.6g}",
            f"a range with z up to {limits.zscore:g}",
            float(score[row]),
        )
        for row in np.flatnonzero(wide & ~np.append(False, jumps[:-1]))
    )
    return findings


def _of_wild_series(bars: BarSeries, values: Floats, floor: float) -> Floats:
    """NaN in series that cannot have an outlier: medians of quiet series need no sorting."""
    far = np.abs(values) > floor / 2
    wild = np.bincount(bars.of[far], minlength=len(bars.keys)) > 0
    return np.where(wild[bars.of], values, np.nan)


def robust_scores(bars: BarSeries, values: Floats, least: int) -> tuple[Floats, Floats]:
    """Modified z-score of each value in its series, and its distance from the median.

    0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993). 0 in a series with fewer than `least`
    values; infinite where more than half of the values are equal and this one is not.
    """
    series = len(bars.keys)
    away = values - medians(values, bars.of, series)[bars.of]
    spread = medians(np.abs(away), bars.of, series)[bars.of]
    score = np.where(away == 0, 0.0, MAD_TO_SIGMA * away / spread)
    few = np.bincount(bars.of[~np.isnan(values)], minlength=series)[bars.of] < least
    score[few | np.isnan(values)] = 0.0
    return score, np.nan_to_num(np.abs(away))


def stale_prices(bars: BarSeries, limits: Limits) -> list[QualityFinding]:
    """Runs of bars with the same open, high, low and close."""
    same = bars.follows & bars.regular & np.append(False, bars.regular[:-1])
    for prices in (bars.open, bars.high, bars.low, bars.close):
        same[1:] &= prices[1:] == prices[:-1]
    findings = []
    for start, end in bars.runs(same):
        minutes = int(bars.minutes[bars.of[start]])
        equal = end - start + 1
        least = max(3, -(-limits.stale_minutes // minutes)) if minutes else limits.stale_sessions
        if equal < least:
            continue
        traded = float(bars.volume[start - 1 : end].sum())
        findings.append(
            finding_of(
                bars,
                "stale",
                (start - 1, end),
                f"the same prices, close {bars.close[start]:.6g}, volume {traded:.6g}",
                f"fewer than {least} equal bars",
                equal,
            )
        )
    return findings


def missing_volumes(bars: BarSeries, limits: Limits) -> list[QualityFinding]:
    """Bars without volume in which the price moved, in series that otherwise have volume."""
    series = len(bars.keys)
    regular = np.bincount(bars.of[bars.regular], minlength=series)
    none = bars.regular & (bars.volume == 0)
    share = np.bincount(bars.of[none], minlength=series) / np.maximum(1, regular)
    moved = (bars.high > bars.low) | (np.nan_to_num(bars.returns) != 0)
    chosen = none & moved & (share <= limits.volume_zero_share)[bars.of]
    return [
        finding_of(
            bars,
            "volume",
            (start, end),
            f"no volume, close {bars.close[start]:.6g}",
            f"volume, as {1 - share[bars.of[start]]:.0%} of its bars have",
            0.0,
        )
        for start, end in bars.runs(chosen)
    ]


def price_findings(bars: BarSeries, limits: Limits, explained: Flags) -> Iterator[QualityFinding]:
    """Outliers, stale prices and missing volumes."""
    yield from outliers(bars, limits, explained)
    yield from stale_prices(bars, limits)
    yield from missing_volumes(bars, limits)
