"""The quality checks of a silver partition, as the UI shows them; they warn and never block."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.shared.pictures import markdown_table
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock
from stock_pipeline.lib.schemas import CORPORATE_ACTIONS_TABLE, TableSpec
from stock_pipeline.quality.checks import QualityContext, quality_findings
from stock_pipeline.quality.findings import Limits, as_rows, summary
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules, source_calendars
from stock_pipeline.settings.sections.quality import QualitySettings
from stock_pipeline.tables.due import key_of

if TYPE_CHECKING:
    import pyarrow as pa

    from stock_pipeline.quality.findings import QualityFinding

logger = logging.getLogger(__name__)

#: Rows shown of a check; the sentence has the count of all.
MOST_FINDINGS = 20

#: Name and description of each check; the names are those of `quality/checks.py`.
DESCRIPTIONS = {
    "prices_plausible": (
        "No price 100 times off, unknown split, wrong adjustment, outlier, stale price or missing "
        "volume. See docs/quality.md."
    ),
    "times_plausible": (
        "No gap, copied bar, bar outside trading hours or session in another time zone. See "
        "docs/quality.md."
    ),
    "sources_agree": "Sources of the same bar tell the same close. See docs/quality.md.",
}


def quality_specs(table: TableSpec, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The quality checks that a table has."""
    return [
        dg.AssetCheckSpec(name, asset=key, description=DESCRIPTIONS[name]) for name in _names(table)
    ]


def limits_of(settings: QualitySettings) -> Limits:
    """What the checks compute with."""
    default = settings.extended_hours_default
    return Limits(
        **settings.model_dump(exclude={"enabled", "extended_hours", "extended_hours_default"}),
        extended_minutes={
            name: (hours.before_open, hours.after_close)
            for name, hours in settings.extended_hours.items()
        },
        extended_minutes_default=(default.before_open, default.after_close),
    )


def _names(table: TableSpec) -> list[str]:
    return [name for name in table.checks if name in DESCRIPTIONS]


def quality_evaluations(
    settings: Settings,
    table: TableSpec,
    key: dg.AssetKey,
    partition: str,
    bars: pa.Table,
    clock: Clock = system_clock,
) -> list[dg.AssetCheckEvaluation]:
    """Results of a partition's quality checks.

    Args:
        settings: Thresholds, calendars and the precedence of sources.
        table: The table.
        key: Its asset.
        partition: ISO date or year.
        bars: Its rows.
        clock: Says which sessions have closed.
    """
    names = _names(table)
    if not names:
        return []
    if not settings.quality.enabled:
        return [
            warning(key, name, partition, True, "Switched off by quality.enabled.", {})
            for name in names
        ]
    try:
        context = QualityContext(
            limits_of(settings.quality),
            calendar_rules(settings),
            source_calendars(settings),
            settings.source_precedence,
            naive_utc(clock),
            _actions(settings, partition) if table.partition_column == "year" else None,
        )
        found = quality_findings(bars, context)
        return [_of_findings(key, n, partition, bars.num_rows, found[n]) for n in names]
    except Exception as error:
        # The partition is published already: a check that breaks is told of, and breaks no run.
        logger.exception("quality of %s %s could not be looked at", table.name, partition)
        sentence = (
            f"{partition}: its quality could not be looked at ({type(error).__name__}: {error}). "
            "The table is published; the run's log has the trace."
        )
        return [warning(key, name, partition, False, sentence, {}) for name in names]


def _actions(settings: Settings, year: str) -> pa.Table | None:
    """Splits and dividends of a year; None where silver has none of them."""
    try:
        return Lake(settings.aws).read_table(key_of(CORPORATE_ACTIONS_TABLE, year))[0]
    except ObjectNotFoundError:
        return None


def _of_findings(
    key: dg.AssetKey, name: str, partition: str, rows: int, findings: Sequence[QualityFinding]
) -> dg.AssetCheckEvaluation:
    import pyarrow as pa

    if not findings:
        sentence = f"{partition}: nothing conspicuous in {rows} bars."
        return warning(key, name, partition, True, sentence, {"findings": 0})
    shown = markdown_table(pa.Table.from_pylist(as_rows(findings[:MOST_FINDINGS])))
    more = len(findings) - MOST_FINDINGS
    sentence = f"{partition}: {summary(findings)}. The table is published; see the findings."
    metadata = {
        "findings": len(findings),
        "first_findings" if more > 0 else "all_findings": dg.MetadataValue.md(shown),
    }
    return warning(key, name, partition, False, sentence, metadata)


def warning(
    key: dg.AssetKey,
    name: str,
    partition: str,
    passed: bool,
    sentence: str,
    metadata: dict[str, Any],
) -> dg.AssetCheckEvaluation:
    """A result that blocks nothing.

    Args:
        key: The asset.
        name: The check.
        partition: ISO date or year.
        passed: Whether nothing is told of.
        sentence: What is told of.
        metadata: Details.
    """
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=sentence,
        metadata=metadata,
        blocking=False,
        partition=partition,
    )
