"""Sources that tell different prices of the same bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stock_pipeline.quality.findings import Limits, QualityFinding
from stock_pipeline.quality.series import BarSeries, finding_of


def disagreements(
    bars: BarSeries, limits: Limits, precedence: Sequence[str]
) -> list[QualityFinding]:
    """Bars whose close differs from that of the source which gold takes.

    Runs of a series that differ are one finding. A daily bar that was rolled up from intraday bars
    covers only what arrived; it is compared with history by `quality/agreement.py`, not here.

    Args:
        bars: Bars of one partition.
        limits: `source_tolerance`, relative.
        precedence: Sources in the order in which gold takes them.
    """
    findings: list[QualityFinding] = []
    series: dict[tuple[str, str], list[int]] = {}
    for number, (symbol, _, interval) in enumerate(bars.keys):
        series.setdefault((symbol, interval), []).append(number)
    order = {source: i for i, source in enumerate(precedence)}
    for all_numbers in series.values():
        numbers = [n for n in all_numbers if not bars.rolled_up[bars.first[n]]]
        numbers.sort(key=lambda n: (order.get(bars.keys[n][1], len(order)), bars.keys[n][1]))
        if len(numbers) < 2:
            continue
        best = _rows(bars, numbers[0])
        for number in numbers[1:]:
            _, at_best, at = np.intersect1d(
                bars.times[best], bars.times[_rows(bars, number)], return_indices=True
            )
            ours, theirs = best[at_best], _rows(bars, number)[at]
            # Of these rows only: a partition has thousands of such pairs.
            ratio = bars.close[theirs] / bars.close[ours]
            differs = np.flatnonzero(np.abs(np.log(ratio)) > np.log1p(limits.source_tolerance))
            for run in np.split(differs, np.flatnonzero(np.diff(theirs[differs]) > 1) + 1):
                if not len(run):
                    continue
                start, end = int(theirs[run[0]]), int(theirs[run[-1]]) + 1
                right = float(bars.close[ours[run[0]]])
                findings.append(
                    finding_of(
                        bars,
                        "disagreement",
                        (start, end),
                        f"close {bars.close[start]:.6g}",
                        f"{right:.6g} as {bars.keys[numbers[0]][1]} says",
                        float(ratio[run[0]]) - 1,
                    )
                )
    return findings


def _rows(bars: BarSeries, number: int) -> np.ndarray:
    return np.arange(bars.first[number], bars.first[number + 1])
