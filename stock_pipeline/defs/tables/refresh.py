"""What makes due silver and gold partitions: one refresh run for all of them.

Dagster's own automation starts a run per contiguous range of partitions: 900 scattered ones became
807 runs, at seconds each. `eager` also never asks again after a failure.
"""

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, asset_key
from stock_pipeline.defs.tables.events import check_evaluations, metadata_of
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.plain_text import markdown
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.publish import Built, TableBuilder

REFRESH_KEY = dg.AssetKey(["refresh"])
REFRESH_TAG = "stock_pipeline/refresh"

#: After failures the wait doubles with each, up to this.
MOST_BACKOFF_SECONDS = 900.0


class TablesDue(dg.AutomationCondition[dg.AssetKey]):
    """True while a silver or gold partition would be made from something else than it was.

    Not sooner than `refresh.min_interval_seconds` after the last refresh began, and after failed
    ones only when a growing pause is over. What it knows comes from the lake and from the runs, so
    it keeps no cursor that could be lost; when the store cannot be read it is false.
    """

    @property
    def name(self) -> str:
        """Shown in the UI's evaluation tree."""
        return "tables_due"

    def get_label(self) -> str:
        """Shown in the UI's evaluation tree."""
        return "silver or gold partitions are due"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Ask the runs, then the index."""
        true = not context.candidate_subset.is_empty and self._is_due(context)
        subset = context.candidate_subset if true else context.get_empty_subset()
        return dg.AutomationResult(context, true_subset=subset)

    def _is_due(self, context: dg.AutomationContext[dg.AssetKey]) -> bool:

        wait = seconds_to_wait(context.asset_graph_view.instance, time.time())
        if wait > 0:
            context.log.debug("The next refresh may begin in %.0f s.", wait)
            return False
        try:
            index = _index()
            index.refresh()
        except (*AWS_ERRORS, OSError) as error:
            context.log.warning(aws_sentence(error, "no refresh is requested and nothing is lost"))
            return False
        # While the index is filled for the first time, everything would look due.
        return not index.behind and next(index.due_one_by_one(), None) is not None


def seconds_to_wait(instance: dg.DagsterInstance, now: float) -> float:
    """Seconds until a refresh may be requested; by the interval, or by failures so far."""
    settings = get_settings().refresh
    runs = instance.get_run_records(dg.RunsFilter(tags={REFRESH_TAG: "true"}), limit=8)
    if not runs:
        return 0.0
    if not runs[0].dagster_run.is_finished:
        return float(settings.min_interval_seconds)
    began = runs[0].start_time or runs[0].create_timestamp.timestamp()
    failures = 0
    for record in runs:
        if record.dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            break
        failures += 1
    ended = runs[0].end_time or began
    backoff = min(MOST_BACKOFF_SECONDS, settings.min_interval_seconds * 2.0**failures)
    pause = backoff if failures else settings.min_interval_seconds
    wait = (ended if failures else began) + pause - now
    # A run of the future is a clock that was set back: nobody waits until that time comes.
    return wait if 0 < wait <= pause else 0.0


@cache
def _index() -> "TableIndex":
    """The index of this code server process."""
    settings = get_settings()
    return TableIndex(settings, Lake(settings.aws), settings.home / "table_index.sqlite")


@dg.asset(
    key=REFRESH_KEY,
    group_name="refresh",
    kinds={"duckdb"},
    owners=OWNERS,
    tags={"layer": "refresh"},
    automation_condition=~dg.AutomationCondition.in_progress() & TablesDue(),
    op_tags={"dagster/max_retries": "0"},
    description=(
        "Grain: one run. Makes every due silver partition, then every due gold one, each checked "
        "before it is published, and reports a materialization and its checks for each. Source: "
        "the offset logs and the ETags in the lake. Consumer: the silver and gold assets."
    ),
)
def refresh(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Make what is due, inputs first; one failing partition does not stop the others."""
    settings = get_settings()
    lake = Lake(settings.aws)
    index = TableIndex(settings, lake, settings.home / "table_index.sqlite")
    with explained("no partition was made and none is lost; the refresh is requested again"):
        index.catch_up()
    builder = TableBuilder(settings, lake, context.run.run_id, index)
    started = datetime.now(UTC)
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
            _report(context, settings, built)
        except Exception as error:
            # It is made already, and what is told of it must not stop the others either.
            context.log.exception("%s %s is not reported in full.", table.name, partition)
            unreported.append(f"{table.name} {partition}: {error}")
            first_error = first_error or error
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
            "seconds": round((datetime.now(UTC) - started).total_seconds(), 3),
            **{f"made {name}": count for name, count in made.items()},
        }
    )


def _report(context: dg.AssetExecutionContext, settings: Settings, built: Built) -> None:
    if built.etag:
        context.log_event(
            dg.AssetMaterialization(
                asset_key(built.table),
                partition=built.partition,
                metadata=metadata_of(settings, built),
            )
        )
    if built.etag or built.violations:
        for evaluation in check_evaluations(settings, built):
            context.log_event(evaluation)


refresh_sensor = dg.AutomationConditionSensorDefinition(
    "refresh_due_tables",
    target=dg.AssetSelection.assets(REFRESH_KEY),
    # Our own condition can only be evaluated where our code is.
    use_user_code_server=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    run_tags={REFRESH_TAG: "true"},
    description="Requests a refresh while a silver or gold partition is due and none is under way.",
)
