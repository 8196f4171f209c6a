"""How a silver or gold table becomes a Dagster asset."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from stock_pipeline.defs.landing.assets import landing_deps
from stock_pipeline.defs.resources import LakeResource
from stock_pipeline.defs.shared.columns import table_schema
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, asset_key
from stock_pipeline.defs.tables.events import (
    PUBLISHABLE,
    check_evaluations,
    metadata_of,
    warning_specs,
)
from stock_pipeline.defs.tables.partitions import Listed
from stock_pipeline.defs.tables.quality import quality_specs
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import Clock
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.spec import Grain
from stock_pipeline.lib.schemas import Read, TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables.publish import TableBuilder

#: Exchanges close for four days at most around holidays; a table older than that stands still.
FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(days=3), fail_window=timedelta(days=5)
)


def table_asset(
    settings: Settings, clock: Clock, listed: Listed, table: TableSpec
) -> dg.AssetsDefinition:
    """The asset of a table; materializing a partition makes it anew from its inputs.

    Args:
        settings: Name the feeds, the sources of history and the Glue database.
        clock: Says which sessions have closed.
        listed: The partitions that Dagster lists.
        table: The table.
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
    checks += warning_specs(table, key)
    checks += quality_specs(table, key)

    @dg.asset(
        key=key,
        deps=_deps(settings, table),
        partitions_def=listed.of(table),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks,
        group_name=table.layer,
        kinds={"parquet", "duckdb"},
        owners=OWNERS,
        tags={"layer": table.layer},
        description=table.description,
        freshness_policy=FRESHNESS if table.every_session else None,
        metadata={
            "dagster/column_schema": table_schema(table.columns),
            "dagster/column_lineage": _lineage(settings, table),
            "dagster/table_name": f"{settings.catalog.database}.{table.layer}_{table.name}",
        },
    )
    def made(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Any]:
        with explained("the old objects stay and nothing is half-published"):
            yield from _make(context, lake.settings(settings), lake.lake(), table, clock)

    return made


def _deps(settings: Settings, table: TableSpec) -> list[dg.AssetKey | dg.AssetDep]:
    """What a table is made from: feeds, tables, landed history."""
    grains = {spec.grain: None for spec in FORMATS.values() if table.name in spec.grain.silver}
    landed = landing_deps(settings, daily=table.landed == "daily") if table.landed else []
    return [
        *(key for grain in grains for key in _keys(settings, grain)),
        *(_dep(table, read) for read in table.reads),
        *landed,
    ]


def _dep(table: TableSpec, read: Read) -> dg.AssetDep:
    """What a table reads of another: of one by date, a year reads the days that are listed."""
    if table.partition_column == read.table.partition_column:
        return dg.AssetDep(asset_key(read.table))
    days = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    return dg.AssetDep(asset_key(read.table), partition_mapping=days)


def _lineage(settings: Settings, table: TableSpec) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key=key, column_name=name)
                for origin, name in origins
                for key in _keys(settings, origin)
            ]
            for column, origins in table.lineage.items()
        }
    )


def _keys(settings: Settings, origin: TableSpec | Grain) -> list[dg.AssetKey]:
    """The asset of a table, or those of all feeds whose bronze rows are of a grain."""
    if isinstance(origin, TableSpec):
        return [asset_key(origin)]
    return [
        dg.AssetKey(["bronze", name])
        for name, feed in settings.feeds.items()
        if FORMATS[feed.format].grain is origin
    ]


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
