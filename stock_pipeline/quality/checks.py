"""All findings of a silver partition, by the asset check that tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from stock_pipeline.lib.sessions import DEFAULT_CALENDAR, calendar_of
from stock_pipeline.quality.findings import Limits, QualityFinding, worst_first
from stock_pipeline.quality.prices import price_findings, scale_errors
from stock_pipeline.quality.series import BarSeries, series_of
from stock_pipeline.quality.sources import disagreements
from stock_pipeline.quality.splits import adjustment_errors, split_errors
from stock_pipeline.quality.times import (
    copied_bars,
    days_without_session,
    gaps,
    outside_hours,
    shifted_sessions,
)

PRICES_PLAUSIBLE, TIMES_PLAUSIBLE, SOURCES_AGREE = (
    "prices_plausible",
    "times_plausible",
    "sources_agree",
)


@dataclass(frozen=True)
class QualityContext:
    """What bars are judged by.

    Attributes:
        limits: Thresholds.
        rules: (pattern, calendar) in order of precedence.
        defaults: By source, the calendar of symbols that no rule matches; XNYS for others.
        precedence: Sources in the order in which gold takes them.
        now: Naive UTC.
        actions: SILVER_CORPORATE_ACTIONS of the bars' time; None where there are none.
    """

    limits: Limits
    rules: Sequence[tuple[str, str]]
    defaults: Mapping[str, str]
    precedence: Sequence[str]
    now: datetime
    actions: pa.Table | None = None

    def calendar(self, symbol: str, source: str) -> str:
        """Calendar of a symbol's bars from a source."""
        return calendar_of(symbol, self.rules, self.defaults.get(source, DEFAULT_CALENDAR))


# Series have gaps, written NaN; and a partition that is refused may hold prices of zero.
@np.errstate(divide="ignore", invalid="ignore")
def quality_findings(table: pa.Table, context: QualityContext) -> dict[str, list[QualityFinding]]:
    """Findings of a partition, worst first, by the name of the check.

    Args:
        table: Rows of SILVER_BARS_INTRADAY or SILVER_BARS_DAILY.
        context: What they are judged by.
    """
    if not table.num_rows:
        return {PRICES_PLAUSIBLE: [], TIMES_PLAUSIBLE: [], SOURCES_AGREE: []}
    bars = series_of(table)
    found = {
        PRICES_PLAUSIBLE: _prices(bars, context),
        TIMES_PLAUSIBLE: _times(bars, context),
        SOURCES_AGREE: disagreements(bars, context.limits, context.precedence),
    }
    return {check: worst_first(findings) for check, findings in found.items()}


def _prices(bars: BarSeries, context: QualityContext) -> list[QualityFinding]:
    limits = context.limits
    findings, explained = scale_errors(bars, limits)
    if bars.daily:
        splits, explained = split_errors(bars, context.actions, limits, explained)
        findings += splits + adjustment_errors(bars, context.actions, limits, explained)
    return [*findings, *price_findings(bars, limits, explained)]


def _times(bars: BarSeries, context: QualityContext) -> list[QualityFinding]:
    limits = context.limits
    if bars.daily:
        findings, told = days_without_session(bars, context.calendar)
        return findings + copied_bars(bars, told)
    findings, shifted = shifted_sessions(bars)
    nothing = np.zeros(len(bars), dtype=bool)
    return [
        *findings,
        *outside_hours(bars, limits, context.calendar, shifted),
        *copied_bars(bars, nothing),
        *gaps(bars, limits, context.calendar, context.now),
    ]
