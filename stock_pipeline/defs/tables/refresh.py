"""What makes due silver and gold partitions: one refresh run for all of them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.defs.resources import LakeResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, asset_key
from stock_pipeline.defs.tables.events import check_evaluations, metadata_of
from stock_pipeline.defs.tables.partitions import Listed
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.plain_text import counted, markdown
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.publish import Built, TableBuilder

#: What became of the data when the lake cannot be read.
NOTHING_MADE = "no partition was made and none is lost; the refresh is requested again"

REFRESH_KEY = dg.AssetKey(["refresh"])
REFRESH_TAG = "stock_pipeline/refresh"

#: The local index of the lake, in the folder of all local state.
INDEX_FILE = "table_index.sqlite"

#: The check of partitions that the list of Dagster does not hold, and where that begins.
LISTED = "partitions_listed"
SINCE = {"trade_date": "partitions.intraday_since", "year": "partitions.daily_since"}

roll_up_job = dg.define_asset_job(
    "roll_up",
    selection=dg.AssetSelection.assets(REFRESH_KEY),
    description="Make every due silver and gold partition now.",
    tags={REFRESH_TAG: "true", "dagster/max_retries": "0"},
)


def refresh_asset(
    settings: Settings, listed: Listed, clock: Clock = system_clock
) -> dg.AssetsDefinition:
    """The asset `refresh`: materializing it makes what is due.

    Args:
        settings: Name the feeds, and how much one run makes.
        listed: The partitions that Dagster lists.
        clock: Says which sessions have closed.
    """

    @dg.asset(
        key=REFRESH_KEY,
        group_name="refresh",
        kinds={"duckdb"},
        owners=OWNERS,
        tags={"layer": "refresh"},
        op_tags={"dagster/max_retries": "0"},
        check_specs=[
            dg.AssetCheckSpec(
                LISTED,
                asset=REFRESH_KEY,
                description=(
                    "Every partition of silver and gold in the lake is in Dagster's list, which "
                    "begins where `partitions` in the settings says. Nothing is lost if not."
                ),
            )
        ],
        description=(
            "Grain: one run. Makes every due silver partition, then every due gold one, each "
            "checked before it is published, and reports a materialization and its checks for "
            "each. Source: the offset logs and the ETags in the lake. Consumer: the silver and "
            "gold assets."
        ),
    )
    def refresh(
        context: dg.AssetExecutionContext, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[Any]]:
        with explained(NOTHING_MADE):
            ours, store = lake.settings(settings), lake.lake()
        yield _refresh(context, ours, store, listed, clock)

    return refresh


def _refresh(
    context: dg.AssetExecutionContext,
    settings: Settings,
    lake: Lake,
    listed: Listed,
    clock: Clock,
) -> dg.MaterializeResult[Any]:
    """Make what is due, inputs first; one failing partition does not stop the others."""
    index = TableIndex(settings, lake, settings.home / INDEX_FILE, clock)
    with explained(NOTHING_MADE):
        index.catch_up()
    builder = TableBuilder(settings, lake, context.run.run_id, index)
    started = clock()
    made: dict[str, int] = {}
    rows = refused = 0
    failures: list[str] = []
    unreported: list[str] = []
    first_error: Exception | None = None
    for tried, (table, partition) in enumerate(index.due_one_by_one()):
        if tried >= settings.refresh.max_partitions:
            break
        try:
            built = builder.build(table, partition)
        except AWS_ERRORS as error:
            failures.append(f"{table.name} {partition}: {aws_sentence(error, 'it stays due')}")
            continue
        except Exception as error:
            # One partition must not stop the others; the run fails at its end.
            context.log.exception("%s %s was not made.", table.name, partition)
            failures.append(f"{table.name} {partition}: {error}")
            first_error = first_error or error
            continue
        if built.etag:
            made[table.name] = made.get(table.name, 0) + 1
            rows += built.rows
        refused += bool(built.violations)
        try:
            _report(context, settings, built, clock)
        except Exception as error:
            # It is made already, and what is told of it must not stop the others either.
            context.log.exception("%s %s is not reported in full.", table.name, partition)
            unreported.append(f"{table.name} {partition}: {error}")
            first_error = first_error or error
    unlisted = _unlisted(index, listed)
    index.close()
    sentences = []
    if failures:
        sentences.append(
            f"{len(failures)} due partitions were not made, {sum(made.values())} were; the old "
            f"objects stay and the failed ones are tried again. {' | '.join(failures[:5])}"
        )
    if unreported:
        sentences.append(
            f"{len(unreported)} partitions were done with, but are not reported in full. "
            f"{' | '.join(unreported[:5])}"
        )
    if sentences:
        raise dg.Failure(
            " ".join(sentences),
            metadata={
                "failures": dg.MetadataValue.md(
                    "\n".join(f"- {markdown(f)}" for f in (failures + unreported)[:50])
                )
            },
            allow_retries=False,
        ) from first_error
    return dg.MaterializeResult(
        metadata={
            "partitions": sum(made.values()),
            "rows": rows,
            "refused": refused,
            "seconds": round((clock() - started).total_seconds(), 3),
            **{f"made {name}": count for name, count in made.items()},
        },
        check_results=[unlisted],
    )


def _unlisted(index: TableIndex, listed: Listed) -> dg.AssetCheckResult:
    """The check of published partitions that Dagster does not list."""
    told: list[str] = []
    for table in TABLES.values():
        first, name = listed.first(table), f"{table.layer}.{table.name}"
        partitions = index.partitions(table)
        if earlier := [p for p in partitions if p < first]:
            told.append(
                f"{counted(len(earlier), 'partition')} of {name} from {earlier[0]} on, before "
                f"{SINCE[table.partition_column]}: {first}"
            )
        if closed := [p for p in partitions if p in listed.closed]:
            told.append(
                f"{counted(len(closed), 'partition')} of {name}, such as {closed[-1]}, on days "
                "without a session"
            )
    return dg.AssetCheckResult(
        check_name=LISTED,
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"Made and kept, but not in Dagster's list of partitions: {'; '.join(told)}."
            if told
            else "Every partition in the lake is listed."
        ),
    )


def _report(
    context: dg.AssetExecutionContext, settings: Settings, built: Built, clock: Clock
) -> None:
    if built.etag:
        context.log_event(
            dg.AssetMaterialization(
                asset_key(built.table),
                partition=built.partition,
                metadata=metadata_of(settings, built),
            )
        )
    if built.etag or built.violations:
        for evaluation in check_evaluations(settings, built, clock):
            context.log_event(evaluation)
