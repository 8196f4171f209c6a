"""Findings in silver bars that no rule forbids and that are hardly what the market did.

What must never be published is refused by `tables/checks.py`; what is looked at here is published,
and told of. docs/quality.md has the formulas and their papers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

#: What each kind of finding is called in a sentence, in the order of their weight.
KINDS = {
    "scale": "prices 100 times off",
    "shifted": "sessions in another time zone",
    "split": "unknown splits",
    "adjustment": "wrong adjustments",
    "duplicate": "copied bars",
    "outside": "bars outside trading hours",
    "disagreement": "disagreements between sources",
    "outlier": "outliers",
    "stale": "stale prices",
    "volume": "bars without volume",
    "gap": "gaps",
}


@dataclass(frozen=True)
class QualityFinding:
    """One thing that is hardly right, in one series.

    Attributes:
        kind: A key of `KINDS`.
        symbol: Whose.
        source: Whose bars.
        interval: Length of the bars; `1d` of daily ones.
        start: First bar concerned, naive UTC; of daily bars midnight of the trade date.
        end: Last bar concerned.
        bars: Number of bars concerned; of a gap, of those that lack.
        found: What is there.
        expected: What would be right.
        value: The figure that was compared with the threshold.
        certain: Whether it is wrong for sure; else the market may have done it.
    """

    kind: str
    symbol: str
    source: str
    interval: str
    start: datetime
    end: datetime
    bars: int
    found: str
    expected: str
    value: float
    certain: bool = False


@dataclass(frozen=True)
class Limits:
    """Thresholds; the settings section `quality` explains each."""

    zscore: float = 3.5
    outlier_floor_daily: float = 0.15
    outlier_floor_intraday: float = 0.05
    outlier_least_bars: int = 20
    stale_sessions: int = 3
    stale_minutes: int = 60
    gap_minutes: int = 15
    scale_tolerance: float = 0.25
    split_tolerance: float = 0.05
    volume_zero_share: float = 0.2
    source_tolerance: float = 0.01
    extended_minutes: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: {"XNYS": (330, 240)}
    )
    extended_minutes_default: tuple[int, int] = (60, 60)


def worst_first(findings: Iterable[QualityFinding]) -> list[QualityFinding]:
    """Certain ones first, then by the weight of their kind, symbol and time."""
    weight = {kind: i for i, kind in enumerate(KINDS)}
    return sorted(
        findings,
        key=lambda f: (not f.certain, weight[f.kind], f.symbol, f.source, f.interval, f.start),
    )


def summary(findings: Sequence[QualityFinding]) -> str:
    """How many findings of which kind, in how many series."""
    counts = {kind: sum(f.kind == kind for f in findings) for kind in KINDS}
    told = ", ".join(f"{n} {KINDS[kind]}" for kind, n in counts.items() if n)
    symbols = len({f.symbol for f in findings})
    return f"{told} in {symbols} {'symbol' if symbols == 1 else 'symbols'}"


def as_rows(findings: Sequence[QualityFinding]) -> list[dict[str, str]]:
    """Findings as text, a column each for what people compare."""
    return [
        {
            "kind": f.kind,
            "symbol": f.symbol,
            "source": f.source,
            "interval": f.interval,
            "from": _when(f, f.start),
            "to": _when(f, f.end) if f.end != f.start else "",
            "bars": str(f.bars),
            "found": f.found,
            "expected": f.expected,
            "value": f"{f.value:.4g}",
            "sure": "yes" if f.certain else "perhaps",
        }
        for f in findings
    ]


def _when(finding: QualityFinding, instant: datetime) -> str:
    return str(instant.date()) if finding.interval == "1d" else f"{instant:%Y-%m-%d %H:%M}"
