"""What a made partition shows in the UI: metadata and check results, the same from every run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.shared.keys import asset_key
from stock_pipeline.defs.shared.pictures import chart, preview, shown
from stock_pipeline.defs.tables.quality import quality_evaluations, warning
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, BARS_INTRADAY_TABLE
from stock_pipeline.quality.agreement import disagreements
from stock_pipeline.quality.completeness import lunch_breaks, missing_sessions, thin_sessions
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules, source_calendars

if TYPE_CHECKING:
    from stock_pipeline.tables.publish import Built

logger = logging.getLogger(__name__)

PUBLISHABLE, SESSIONS_COMPLETE = "publishable", "sessions_complete"
DAYS_AGREE = "days_agree_with_trades"

#: By check, what its metadata calls the rows that it tells of.
_ROWS_OF = {SESSIONS_COMPLETE: "gaps", DAYS_AGREE: "differences"}

#: Rows of a table in a check's metadata.
MOST_ROWS = 20


def metadata_of(settings: Settings, built: Built) -> dict[str, Any]:
    """Rows, bytes, object, origin, a preview and a chart of a published partition."""
    made_from = built.made_from
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": built.rows,
        "dagster/uri": f"s3://{settings.aws.bucket}/{built.key}",
        "bytes": built.bytes,
        "seconds": round(built.seconds, 3),
        "etag": built.etag or "",
        "definition": made_from.definition,
        "made_from": {
            **{f"batches of {feed}": _ranges(i) for feed, i in made_from.examined.items() if i},
            **({"objects": len(made_from.etags)} if made_from.etags else {}),
        },
    }
    if built.rows:
        metadata["preview"] = dg.MetadataValue.md(shown("preview", preview, built.content))
        picture = shown("chart", chart, built.table.name, built.content)
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
    if built.table in (BARS_INTRADAY_TABLE, BARS_DAILY_TABLE):
        evaluations.append(
            _guarded(settings, built, SESSIONS_COMPLETE, partial(_sessions_complete, clock))
        )
    # A refused result may hold what no price can be compared with.
    if built.table is BARS_DAILY_TABLE and not built.violations:
        evaluations.append(_guarded(settings, built, DAYS_AGREE, _agreement))
    key = asset_key(built.table)
    where = (built.table, key, built.partition)
    return evaluations + quality_evaluations(settings, *where, built.content, clock)


def _guarded(
    settings: Settings,
    built: Built,
    name: str,
    look: Callable[[Settings, Built], tuple[str, list[dict[str, Any]]]],
) -> dg.AssetCheckEvaluation:
    """What a look at a partition tells of; when it breaks, a warning that says why."""
    try:
        sentence, rows = look(settings, built)
        records = [dg.TableRecord(row) for row in rows[:MOST_ROWS]]
        metadata = {_ROWS_OF[name]: dg.MetadataValue.table(records)} if rows else {}
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


def _agreement(settings: Settings, built: Built) -> tuple[str, list[dict[str, Any]]]:
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
    clock: Clock, settings: Settings, built: Built
) -> tuple[str, list[dict[str, Any]]]:
    now = naive_utc(clock)
    rules, defaults = calendar_rules(settings), source_calendars(settings)
    if built.table is BARS_INTRADAY_TABLE:
        day = date.fromisoformat(built.partition)
        gaps = thin_sessions(built.content, now, lunch_breaks(built.content, day, rules, defaults))
    else:
        gaps = missing_sessions(built.content, rules, defaults, now)
    if not gaps:
        return "closed sessions are complete.", []
    return f"closed sessions of {len(gaps)} series lack bars.", gaps


def _ranges(intervals: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(a) if b == a + 1 else f"{a} to {b - 1}" for a, b in intervals)
