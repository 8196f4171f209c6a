"""How a silver or gold table becomes a Dagster asset."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from stock_pipeline.defs.resources import LakeResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, asset_key
from stock_pipeline.defs.tables.columns import DESCRIPTIONS
from stock_pipeline.defs.tables.events import (
    DAYS_AGREE,
    PUBLISHABLE,
    SESSIONS_COMPLETE,
    check_evaluations,
    metadata_of,
)
from stock_pipeline.defs.tables.quality import quality_specs
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import Clock
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables.publish import TableBuilder

#: Days and years that a table may have; an instant may lie a little in the future.
DAYS = dg.DailyPartitionsDefinition(start_date="2000-01-01", end_offset=5)
YEARS = dg.TimeWindowPartitionsDefinition(
    start="1960", fmt="%Y", cron_schedule="0 0 1 1 *", end_offset=1
)

#: Exchanges close for four days at most around holidays; a table older than that stands still.
FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(days=3), fail_window=timedelta(days=5)
)


def table_asset(
    settings: Settings,
    clock: Clock,
    table: TableSpec,
    *,
    deps: Sequence[dg.AssetKey | dg.AssetDep],
    description: str,
    lineage: Mapping[str, Sequence[tuple[dg.AssetKey, str]]],
    warns_of_gaps: bool = False,
    every_session: bool = True,
) -> dg.AssetsDefinition:
    """The asset of a table; materializing a partition makes it anew from its inputs.

    Args:
        settings: Name the feeds and the Glue database.
        clock: Says which sessions have closed.
        table: The table.
        deps: Assets that it is made from.
        description: Grain, source and consumer.
        lineage: Per column the columns that it is computed from.
        warns_of_gaps: Whether it has the check `sessions_complete`.
        every_session: Whether a table without anything new for days stands still.
    """
    key = asset_key(table)
    checks = [
        dg.AssetCheckSpec(
            PUBLISHABLE,
            asset=key,
            blocking=True,
            description=(
                "Keys unique, prices and volatilities within bounds. A result that fails goes to "
                "`_rejected/` and the old object stays."
            ),
        )
    ]
    if warns_of_gaps:
        checks.append(
            dg.AssetCheckSpec(
                SESSIONS_COMPLETE,
                asset=key,
                description="Closed sessions of the exchange calendar have their bars.",
            )
        )
    if table is BARS_DAILY_TABLE:
        checks.append(
            dg.AssetCheckSpec(
                DAYS_AGREE,
                asset=key,
                description=(
                    "Vendors' daily bars, of history too, differ by at most `daily_tolerance` from "
                    "what trades or intraday bars of another source add up to."
                ),
            )
        )
    checks += quality_specs(table, key)
    column_lineage = dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=k, column_name=c) for k, c in sources]
            for column, sources in lineage.items()
        }
    )

    @dg.asset(
        key=key,
        deps=list(deps),
        partitions_def=DAYS if table.partition_column == "trade_date" else YEARS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks,
        group_name=table.layer,
        kinds={"parquet", "duckdb"},
        owners=OWNERS,
        tags={"layer": table.layer},
        description=description,
        freshness_policy=FRESHNESS if every_session else None,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/column_lineage": column_lineage,
            "dagster/table_name": f"{settings.catalog.database}.{table.layer}_{table.name}",
        },
    )
    def made(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Any]:
        with explained("the old objects stay and nothing is half-published"):
            yield from _make(context, lake.settings(settings), lake.lake(), table, clock)

    return made


def column_schema(table: TableSpec) -> dg.TableSchema:
    """Columns of a table with their meaning; the partition column is the folder's."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                str(field.type),
                description=DESCRIPTIONS.get(field.name),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in table.schema
        ]
    )


def _make(
    context: dg.AssetExecutionContext,
    settings: Settings,
    lake: Lake,
    table: TableSpec,
    clock: Clock,
) -> Iterator[Any]:
    builder = TableBuilder(settings, lake, context.run.run_id)
    refused: list[str] = []
    failed: dict[str, dg.AssetCheckEvaluation] = {}
    seen: dict[str, dg.AssetCheckEvaluation] = {}
    published = 0
    for partition in context.partition_keys:
        built = builder.build(table, partition, full=True)
        for evaluation in check_evaluations(settings, built, clock):
            seen[evaluation.check_name] = evaluation
            if not evaluation.passed:
                failed[evaluation.check_name] = evaluation
        if built.violations:
            refused.append(partition)
            continue
        published += 1
        context.add_asset_metadata(metadata_of(settings, built), partition_key=partition)
    for evaluation in (seen | failed).values():
        yield dg.AssetCheckResult(
            check_name=evaluation.check_name,
            passed=evaluation.passed,
            severity=evaluation.severity,
            description=evaluation.description,
            metadata=evaluation.metadata,
        )
    if refused:
        raise dg.Failure(
            f"{table.name}: {len(refused)} partitions were not published, their old objects stay "
            f"({', '.join(refused[:10])}); {published} were. See the check {PUBLISHABLE}.",
            allow_retries=False,
        )
    yield dg.MaterializeResult()
