"""What a made partition shows in the UI: metadata and check results, the same from every run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.preview import chart, preview
from stock_pipeline.defs.quality.evaluations import quality_evaluations
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, BARS_INTRADAY_TABLE, TableSpec
from stock_pipeline.settings import Settings

if TYPE_CHECKING:
    from stock_pipeline.resources.tables import Built

PUBLISHABLE, SESSIONS_COMPLETE = "publishable", "sessions_complete"
DAYS_AGREE = "days_agree_with_trades"

#: Rows of a table in a check's metadata.
MOST_ROWS = 20


def asset_key(table: TableSpec) -> dg.AssetKey:
    """Key of a silver or gold asset."""
    return dg.AssetKey([table.layer, table.name])


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
        metadata["preview"] = dg.MetadataValue.md(preview(built.content))
        picture = chart(built.table.name, built.content)
        if picture:
            metadata["chart"] = dg.MetadataValue.md(picture)
    return metadata


def check_evaluations(settings: Settings, built: Built) -> list[dg.AssetCheckEvaluation]:
    """Results of the table's checks for one partition."""
    refused = "; ".join(f"{v.check}: {v.sentence}" for v in built.violations)
    metadata: dict[str, Any] = {"rows": built.rows}
    if built.violations:
        metadata["rejected_object"] = f"s3://{settings.aws.bucket}/{built.rejected_key}"
        for violation in built.violations:
            if violation.rows.num_rows:
                rows = preview(violation.rows.slice(0, MOST_ROWS), MOST_ROWS)
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
    gaps = _gaps(settings, built)
    if gaps is not None:
        evaluations.append(
            dg.AssetCheckEvaluation(
                asset_key=asset_key(built.table),
                check_name=SESSIONS_COMPLETE,
                passed=not gaps,
                severity=dg.AssetCheckSeverity.WARN,
                description=(
                    f"{built.partition}: closed sessions of {len(gaps)} series lack bars."
                    if gaps
                    else f"{built.partition}: closed sessions are complete."
                ),
                metadata=(
                    {"gaps": dg.MetadataValue.table([dg.TableRecord(g) for g in gaps[:MOST_ROWS]])}  # type: ignore[arg-type]
                    if gaps
                    else {}
                ),
                blocking=False,
                partition=built.partition,
            )
        )
    if built.table is BARS_DAILY_TABLE:
        evaluations.append(_agreement(settings, built))
    key = asset_key(built.table)
    evaluations += quality_evaluations(settings, built.table, key, built.partition, built.content)
    return evaluations


def _agreement(settings: Settings, built: Built) -> dg.AssetCheckEvaluation:
    from stock_pipeline.lib.agreement import disagreements
    from stock_pipeline.lib.verify import counted

    tolerance = settings.daily_tolerance
    found = disagreements(built.content, tolerance)
    days = {(row["symbol"], row["trade_date"]) for row in found}
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(built.table),
        check_name=DAYS_AGREE,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"{built.partition}: {counted(len(days), 'day')} by more than {tolerance:.3g} of the "
            f"price off what trades add up to; {_worst(found[0])}"
            if found
            else f"{built.partition}: daily bars agree with roll-ups to {tolerance:.3g} of a price."
        ),
        metadata=(
            {
                "differences": dg.MetadataValue.table(
                    [dg.TableRecord(row) for row in found[:MOST_ROWS]]
                )
            }
            if found
            else {}
        ),
        blocking=False,
        partition=built.partition,
    )


def _worst(row: dict[str, Any]) -> str:
    return (
        f"most {row['symbol']} on {row['trade_date']}: {row['price']} {row['daily']:.6g} by "
        f"{row['daily_source']}, {row['rolled_up']:.6g} by {row['rolled_up_source']}."
    )


def _gaps(settings: Settings, built: Built) -> list[dict[str, object]] | None:
    from stock_pipeline.lib.completeness import lunch_breaks, missing_sessions, thin_sessions
    from stock_pipeline.resources.table_sql import calendar_rules, source_calendars

    now = datetime.now(UTC).replace(tzinfo=None)
    rules, defaults = calendar_rules(settings), source_calendars(settings)
    if built.table is BARS_INTRADAY_TABLE:
        day = date.fromisoformat(built.partition)
        return thin_sessions(built.content, now, lunch_breaks(built.content, day, rules, defaults))
    if built.table is BARS_DAILY_TABLE:
        return missing_sessions(built.content, rules, defaults, now)
    return None


def _ranges(intervals: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(a) if b == a + 1 else f"{a} to {b - 1}" for a, b in intervals)
