"""Splits and dividends that the prices know and the actions do not, and the reverse."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from stock_pipeline.quality.findings import Limits, QualityFinding
from stock_pipeline.quality.series import BarSeries, Flags, Floats, finding_of

#: New shares for old ones, as exchanges list them; the reverse of each too.
RATIOS = (1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50)
_LOG_RATIOS = np.sort(np.log(np.concatenate([RATIOS, 1 / np.array(RATIOS)])))

#: A smaller share of the price is within the noise of rounded adjusted closes.
LEAST_DIVIDEND = 0.002
#: A larger one is rather a dividend in another unit than the price's.
MOST_DIVIDEND = 0.35
#: The median of so many closes before a step, and after it, must differ by the ratio too, up to
#: this share of its log: a bar that is wrong alone, and the way back from it, are no splits.
_STAYS = 3
_NEAR = 0.3


def split_errors(
    bars: BarSeries, actions: pa.Table | None, limits: Limits, explained: Flags
) -> tuple[list[QualityFinding], Flags]:
    """Overnight steps by a split's ratio that no action or adjusted close explains.

    Args:
        bars: Daily bars.
        actions: symbol, ex_date, kind (split or dividend), ratio, amount; None where unknown.
        limits: `split_tolerance`, in log.
        explained: Bars that are told of already.

    Returns:
        The findings, and the bars that are explained now.
    """
    steps, logs = _split_steps(bars, limits, explained)
    splits, _ = action_rows(bars, actions)
    adjusted_steps = bars.returns + bars.factor_steps
    adjusts = np.abs(bars.factor_steps + logs) < limits.split_tolerance
    known = ~np.isnan(splits)
    told = steps & ~adjusts & (~known | ~np.isnan(adjusted_steps))
    now = explained | steps
    findings: list[QualityFinding] = []
    done: set[int] = set()
    for row in np.flatnonzero(told):
        if int(row) in done:
            continue
        # The step back by the same ratio makes it a run that was adjusted alone.
        later = np.flatnonzero(told[row + 1 : bars.first[bars.of[row] + 1]]) + row + 1
        back = next((int(i) for i in later if np.isclose(logs[i], -logs[row])), None)
        ratio, factor = _ratio(-logs[row]), float(np.exp(bars.returns[row]))
        if back is not None:
            done.add(back)
            found = f"closes at {factor:.4g} of those before and after"
            expected = f"adjusted by {ratio} like their neighbours, or not at all"
            rows = (int(row), back)
        else:
            before, after = float(bars.close[row - 1]), float(bars.close[row])
            found = f"close {before:.6g} to {after:.6g}, a split of {ratio}"
            expected = "adjusted closes before it divided" if known[row] else "a split action"
            rows = (int(row), int(row) + 1)
        findings.append(finding_of(bars, "split", rows, found, expected, factor))
    return findings, now


def adjustment_errors(
    bars: BarSeries, actions: pa.Table | None, limits: Limits, explained: Flags
) -> list[QualityFinding]:
    """Dividends that adjusted closes leave out, and adjusted closes off for a few bars alone."""
    splits, dividends = action_rows(bars, actions)
    findings: list[QualityFinding] = []
    before = np.append(np.nan, bars.close[:-1])
    share = dividends / before
    paid = share > LEAST_DIVIDEND
    too_big = share > MOST_DIVIDEND
    actual = np.exp(-bars.factor_steps)
    for row in np.flatnonzero(paid & ~too_big & np.isnan(splits) & ~np.isnan(actual)):
        right = 1 - float(share[row])
        if abs(actual[row] - right) <= share[row] / 2:
            continue
        found = f"dividend {dividends[row]:.6g}, adjusted closes before it times {actual[row]:.4g}"
        findings.append(
            finding_of(
                bars,
                "adjustment",
                (int(row), int(row) + 1),
                found,
                f"times {right:.4g}",
                float(actual[row]),
                certain=True,
            )
        )
    findings.extend(
        finding_of(
            bars,
            "adjustment",
            (int(row), int(row) + 1),
            f"dividend {dividends[row]:.6g} at a price of {before[row]:.6g}",
            f"below {MOST_DIVIDEND:.0%} of the price; perhaps in another unit",
            float(share[row]),
        )
        for row in np.flatnonzero(too_big)
    )
    return [*findings, *_lone_adjustments(bars, limits, explained)]


def _lone_adjustments(bars: BarSeries, limits: Limits, explained: Flags) -> list[QualityFinding]:
    """Runs whose adjusted close leaves their neighbours' factor and returns to it."""
    steps = bars.factor_steps
    large = (np.abs(steps) > limits.split_tolerance) & ~explained
    findings: list[QualityFinding] = []
    rows = np.flatnonzero(large)
    for row, back in pairwise(rows):
        if bars.of[row] != bars.of[back] or not np.isclose(steps[row], -steps[back], rtol=0.05):
            continue
        findings.append(
            finding_of(
                bars,
                "adjustment",
                (int(row), int(back)),
                f"adjusted close {bars.adjusted[row]:.6g} at a close of {bars.close[row]:.6g}",
                f"about {bars.close[row] * np.exp(bars.factors[row - 1]):.6g}",
                float(np.exp(steps[row])),
                certain=True,
            )
        )
    return findings


def action_rows(bars: BarSeries, actions: pa.Table | None) -> tuple[Floats, Floats]:
    """Split ratio and dividend of each bar that is the first on or after an action's ex-date.

    Returns:
        Products of ratios and sums of amounts; NaN where there is none.
    """
    splits, dividends = np.full(len(bars), np.nan), np.full(len(bars), np.nan)
    if actions is None or not actions.num_rows or not len(bars):
        return splits, dividends
    series: dict[str, list[tuple[int, str]]] = {}
    for number, (symbol, source, _) in enumerate(bars.keys):
        series.setdefault(symbol, []).append((number, source))
    best: dict[tuple[int, date, str], tuple[bool, dict[str, Any]]] = {}
    columns = ["symbol", "ex_date", "kind", "source", "ratio", "amount"]
    for action in actions.select(columns).to_pylist():
        for number, source in series.get(action["symbol"], []):
            key = (number, action["ex_date"], action["kind"])
            own = action["source"] == source
            # A source's bars are judged by its own word of the action where it has one.
            if key not in best or (own and not best[key][0]):
                best[key] = (own, action)
    for (number, ex_date, kind), (_, action) in best.items():
        start, end = int(bars.first[number]), int(bars.first[number + 1])
        row = start + int(np.searchsorted(bars.times[start:end], np.datetime64(ex_date, "us")))
        if row in (start, end):
            continue
        if kind == "split" and action["ratio"]:
            splits[row] = np.nan_to_num(splits[row], nan=1.0) * action["ratio"]
        elif kind == "dividend" and action["amount"]:
            dividends[row] = np.nan_to_num(dividends[row]) + action["amount"]
    return splits, dividends


def _split_steps(bars: BarSeries, limits: Limits, explained: Flags) -> tuple[Flags, Floats]:
    """Bars that begin at a split's ratio from the close before and stay there, and its log."""
    overnight = np.full(len(bars), np.nan)
    overnight[1:] = np.log(bars.open[1:] / bars.close[:-1])
    overnight[~bars.follows] = np.nan
    near = np.searchsorted((_LOG_RATIOS[1:] + _LOG_RATIOS[:-1]) / 2, np.nan_to_num(overnight))
    logs = _LOG_RATIOS[near]
    steps = (np.abs(overnight - logs) < limits.split_tolerance) & ~explained
    for row in np.flatnonzero(steps):
        start = max(row - _STAYS, int(bars.first[bars.of[row]]))
        end = min(row + _STAYS, int(bars.first[bars.of[row] + 1]))
        before = float(np.median(np.log(bars.close[start:row])))
        after = float(np.median(np.log(bars.close[row:end])))
        steps[row] = abs(after - before - logs[row]) < _NEAR * abs(logs[row])
    return steps, logs


def _ratio(log: float) -> str:
    """Such as 2:1 or 1:10."""
    ratio = float(np.exp(log))
    return f"{ratio:.3g}:1" if ratio > 1 else f"1:{1 / ratio:.3g}"
