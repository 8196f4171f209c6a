"""The sensor that requests a refresh run while a silver or gold partition is due."""

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.defs.resources import LakeResource
from stock_pipeline.defs.shared.runs import UNFINISHED
from stock_pipeline.defs.tables.empty import empty_events
from stock_pipeline.defs.tables.partitions import Listed
from stock_pipeline.defs.tables.refresh import INDEX_FILE, REFRESH_KEY, REFRESH_TAG, roll_up_job
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings, SettingsError
from stock_pipeline.settings.sections.tables import RefreshSettings
from stock_pipeline.tables.index import TableIndex

#: After failures the wait doubles with each, up to this.
MOST_BACKOFF_SECONDS = 900.0

NOTHING_LOST = "no refresh is requested and nothing is lost; the next tick asks again"


def refresh_sensor(
    settings: Settings, listed: Listed, clock: Clock = system_clock
) -> dg.SensorDefinition:
    """The sensor `refresh_due_tables`.

    It asks the due rule every five seconds, and not Dagster's own automation: that starts a run for
    each contiguous range of partitions (900 scattered ones became 807 runs, at seconds each), and
    its condition `eager` never asks again after a failure. What it decides by comes from the lake
    and from the runs; the cursor only saves asking again what has no data.

    Args:
        settings: Name the feeds, and how often a refresh may run.
        listed: The partitions that Dagster lists.
        clock: Says how long the last refresh is ago.
    """

    @dg.sensor(
        name="refresh_due_tables",
        job=roll_up_job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Requests one refresh for all silver and gold partitions that are due, while none is "
            "under way; after failures with a growing pause. Tells of partitions that no data has "
            "arrived for as made, with no row."
        ),
    )
    def refresh_due_tables(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult:
        if under_way(context.instance):
            return dg.SensorResult(skip_reason="A refresh is under way.")
        wait = seconds_to_wait(context.instance, settings.refresh, clock().timestamp())
        if wait > 0:
            return dg.SensorResult(skip_reason=f"The next refresh may begin in {wait:.0f} s.")
        try:
            index = kept_index(settings, lake, clock)
            index.refresh()
        except SettingsError as error:
            return dg.SensorResult(skip_reason=f"{error} So {NOTHING_LOST}.")
        except (*AWS_ERRORS, OSError) as error:
            return dg.SensorResult(skip_reason=aws_sentence(error, NOTHING_LOST))
        if index.behind:
            # While the index is filled for the first time, everything would look due.
            return dg.SensorResult(skip_reason="The index of the lake is still being read.")
        events, cursor = empty_events(settings, context.instance, index, listed, context.cursor)
        if next(index.due_one_by_one(), None) is None:
            return dg.SensorResult(
                skip_reason="No silver or gold partition is due.",
                asset_events=events,
                cursor=cursor,
            )
        request = dg.RunRequest(
            job_name=roll_up_job.name, asset_selection=[REFRESH_KEY], tags={REFRESH_TAG: "true"}
        )
        return dg.SensorResult(run_requests=[request], asset_events=events, cursor=cursor)

    return refresh_due_tables


def kept_index(settings: Settings, lake: LakeResource, clock: Clock = system_clock) -> TableIndex:
    """The index that the ticks of this code location share: it reads only what is new.

    Args:
        settings: Name the feeds.
        lake: What it describes.
        clock: Says when history is listed again.
    """
    ours = lake.settings(settings)
    file = ours.home / INDEX_FILE
    key = ("table index", ours.aws, file)
    return lake.keep(key, lambda: TableIndex(ours, lake.lake(), file, clock))


def under_way(instance: dg.DagsterInstance) -> bool:
    """Whether a refresh is queued or running: requested here, scheduled, or by a person."""
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return any(
        REFRESH_TAG in run.tags or REFRESH_KEY in (run.asset_selection or ()) for run in unfinished
    )


def seconds_to_wait(instance: dg.DagsterInstance, refresh: RefreshSettings, now: float) -> float:
    """Seconds until a refresh may be requested: by the interval, or by failures so far.

    Args:
        instance: Knows the runs.
        refresh: How often one may run.
        now: Unix time in seconds.
    """
    runs = instance.get_run_records(dg.RunsFilter(tags={REFRESH_TAG: "true"}), limit=8)
    if not runs:
        return 0.0
    if not runs[0].dagster_run.is_finished:
        return float(refresh.min_interval_seconds)
    began = runs[0].start_time or runs[0].create_timestamp.timestamp()
    failures = 0
    for record in runs:
        if record.dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            break
        failures += 1
    ended = runs[0].end_time or began
    backoff = min(MOST_BACKOFF_SECONDS, refresh.min_interval_seconds * 2.0**failures)
    pause = backoff if failures else refresh.min_interval_seconds
    wait = (ended if failures else began) + pause - now
    # A run of the future is a clock that was set back: nobody waits until that time comes.
    return wait if 0 < wait <= pause else 0.0
