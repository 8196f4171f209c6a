"""What a made partition shows in the UI: metadata and check results, the same from every run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.shared.keys import asset_key
from stock_pipeline.defs.shared.pictures import chart, preview, shown
from stock_pipeline.defs.tables.empty import NO_ROWS
from stock_pipeline.defs.tables.quality import quality_evaluations, warning
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.quality.agreement import disagreements
from stock_pipeline.quality.completeness import lunch_breaks, missing_sessions, thin_sessions
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules, source_calendars

if TYPE_CHECKING:
    from stock_pipeline.tables.publish import Built

logger = logging.getLogger(__name__)

PUBLISHABLE, SESSIONS_COMPLETE = "publishable", "sessions_complete"
DAYS_AGREE = "days_agree_with_trades"

#: Rows of a table in a check's metadata.
MOST_ROWS = 20


@dataclass(frozen=True)
class Look:
    """A check that looks at a made partition, and warns.

    Attributes:
        description: What it checks, as the UI shows it.
        rows: What its metadata calls the rows that it tells of.
        find: A sentence, and the rows; none when all is well.
        at_refused: Whether it also looks at a result that was refused.
    """

    description: str
    rows: str
    find: Callable[[Settings, Built, Clock], tuple[str, list[dict[str, Any]]]]
    at_refused: bool = True


def metadata_of(settings: Settings, built: Built) -> dict[str, Any]:
    """Rows, bytes, object, origin, a preview and a chart of a partition that was made."""
    if built.etag is None:
        return {"dagster/partition_row_count": 0, "note": NO_ROWS}
    made_from = built.made_from
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": built.rows,
        "dagster/uri": f"s3://{settings.aws.bucket}/{built.key}",
        "bytes": built.bytes,
        "seconds": round(built.seconds, 3),
        "etag": built.etag,
        "definition": made_from.definition,
        "made_from": {
            **{f"batches of {feed}": _ranges(i) for feed, i in made_from.examined.items() if i},
            **({"objects": len(made_from.etags)} if made_from.etags else {}),
        },
    }
    if built.rows:
        metadata["preview"] = dg.MetadataValue.md(shown("preview", preview, built.content))
        picture = shown("chart", chart, built.table.chart, built.content)
        if picture:
            metadata["chart"] = dg.MetadataValue.md(picture)
    return metadata


def check_evaluations(
    settings: Settings, built: Built, clock: Clock = system_clock
) -> list[dg.AssetCheckEvaluation]:
    """Results of the table's checks for one partition.

    Args:
        settings: Tolerances, calendars and the precedence of sources.
        built: The partition.
        clock: Says which sessions have closed.
    """
    refused = "; ".join(f"{v.check}: {v.sentence}" for v in built.violations)
    metadata: dict[str, Any] = {"rows": built.rows}
    if built.violations:
        metadata["rejected_object"] = f"s3://{settings.aws.bucket}/{built.rejected_key}"
        for violation in built.violations:
            if violation.rows.num_rows:
                rows = shown("rows", preview, violation.rows.slice(0, MOST_ROWS), MOST_ROWS)
                metadata[f"rows_{violation.check}"] = dg.MetadataValue.md(rows)
    evaluations = [
        dg.AssetCheckEvaluation(
            asset_key=asset_key(built.table),
            check_name=PUBLISHABLE,
            passed=not built.violations,
            severity=dg.AssetCheckSeverity.ERROR,
            description=(
                f"{built.partition} was not published, the old object stays. {refused}"
                if refused
                else f"{built.partition}: {built.rows} rows, all rules hold."
            ),
            metadata=metadata,
            blocking=True,
            partition=built.partition,
        )
    ]
    for name in built.table.checks:
        look = LOOKS.get(name)
        if look and (look.at_refused or not built.violations):
            evaluations.append(_guarded(settings, built, name, look, clock))
    key = asset_key(built.table)
    where = (built.table, key, built.partition)
    return evaluations + quality_evaluations(settings, *where, built.content, clock)


def _guarded(
    settings: Settings,
    built: Built,
    name: str,
    look: Look,
    clock: Clock,
) -> dg.AssetCheckEvaluation:
    """What a look at a partition tells of; when it breaks, a warning that says why."""
    try:
        sentence, rows = look.find(settings, built, clock)
        records = [dg.TableRecord(row) for row in rows[:MOST_ROWS]]
        metadata = {look.rows: dg.MetadataValue.table(records)} if rows else {}
        passed = not rows
    except Exception as error:
        # The partition is made already: a check that breaks is told of, and breaks no run.
        logger.exception("%s of %s %s broke", name, built.table.name, built.partition)
        sentence = (
            f"the check broke ({type(error).__name__}: {error}). It changes nothing of what was "
            "published; the run's log has the trace."
        )
        passed, metadata = False, {}
    told = f"{built.partition}: {sentence}"
    return warning(asset_key(built.table), name, built.partition, passed, told, metadata)


def _agreement(
    settings: Settings,
    built: Built,
    clock: Clock,  # noqa: ARG001 - days agree or do not at any time
) -> tuple[str, list[dict[str, Any]]]:
    tolerance = settings.daily_tolerance
    found = disagreements(built.content, tolerance)
    if not found:
        return f"daily bars agree with roll-ups to {tolerance:.3g} of a price.", []
    days = {(row["symbol"], row["trade_date"]) for row in found}
    sentence = (
        f"{counted(len(days), 'day')} by more than {tolerance:.3g} of the price off what trades "
        f"add up to; {_worst(found[0])}"
    )
    return sentence, found


def _worst(row: dict[str, Any]) -> str:
    return (
        f"most {row['symbol']} on {row['trade_date']}: {row['price']} {row['daily']:.6g} by "
        f"{row['daily_source']}, {row['rolled_up']:.6g} by {row['rolled_up_source']}."
    )


def _sessions_complete(
    settings: Settings, built: Built, clock: Clock
) -> tuple[str, list[dict[str, Any]]]:
    now = naive_utc(clock)
    rules, defaults = calendar_rules(settings), source_calendars(settings)
    if built.table.partition_column == "trade_date":
        day = date.fromisoformat(built.partition)
        gaps = thin_sessions(built.content, now, lunch_breaks(built.content, day, rules, defaults))
    else:
        gaps = missing_sessions(built.content, rules, defaults, now)
    if not gaps:
        return "closed sessions are complete.", []
    return f"closed sessions of {len(gaps)} series lack bars.", gaps


def _ranges(intervals: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(a) if b == a + 1 else f"{a} to {b - 1}" for a, b in intervals)


#: What `TableSpec.checks` may name, beside the checks of bars in `defs/tables/quality.py`.
LOOKS: Mapping[str, Look] = {
    SESSIONS_COMPLETE: Look(
        "Closed sessions of the exchange calendar have their bars.", "gaps", _sessions_complete
    ),
    DAYS_AGREE: Look(
        "Vendors' daily bars, of history too, differ by at most `daily_tolerance` from "
        "what trades or intraday bars of another source add up to.",
        "differences",
        _agreement,
        # It may hold what no price can be compared with.
        at_refused=False,
    ),
}


def warning_specs(table: TableSpec, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of `LOOKS` that a table has."""
    return [
        dg.AssetCheckSpec(name, asset=key, description=LOOKS[name].description)
        for name in table.checks
        if name in LOOKS
    ]
