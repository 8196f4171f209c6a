"""Nightly maintenance: checkpoints of the log, and runs and ticks of days ago."""

import time
from typing import Any

import dagster as dg

from stock_pipeline.defs.resources import LakeResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings

#: Finished runs, their events included, are kept this long unless something shows them as its last.
KEEP_RUN_DAYS = 14

#: One night's pruning ends after this, the next goes on.
PRUNE_SECONDS = 600.0


def checkpoints_op(settings: Settings) -> dg.OpDefinition:
    """The op that writes checkpoints of the feeds' offset logs."""

    @dg.op(tags={"dagster/max_retries": "0"})
    def write_checkpoints(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        """Write a checkpoint of each feed's offset log; remove rejects of attempts long decided."""
        with explained("nothing was removed, the logs are as they were"):
            for feed in settings.feeds:
                log = OffsetLog(lake.lake(), feed)
                checkpoint = log.write_checkpoint()
                seq = checkpoint.seq if checkpoint else "is current"
                removed = log.sweep_attempts()
                context.log.info("%s: checkpoint %s, %d attempts removed", feed, seq, removed)

    return write_checkpoints


def pruning_op(clock: Clock) -> dg.OpDefinition:
    """The op that deletes old runs."""

    @dg.op(ins={"after": dg.In(dg.Nothing)}, tags={"dagster/max_retries": "0"})
    def prune_runs(context: dg.OpExecutionContext) -> None:
        """Delete old finished runs with their events, except the last of an asset or partition.

        Ticks are purged by the instance's `retention`; runs and events never are.
        """
        before = clock().timestamp() - KEEP_RUN_DAYS * 86_400
        deleted, kept = prune(context.instance, before, PRUNE_SECONDS)
        context.log.info("Old runs: %d deleted, %d kept.", deleted, kept)

    return prune_runs


def prune(instance: dg.DagsterInstance, before: float, seconds: float) -> tuple[int, int]:
    """Delete runs that ended before a time (Unix seconds); the numbers deleted and kept.

    A run that made the latest materialization of an asset or partition stays: the UI would show
    the partition as missing.
    """
    from datetime import UTC, datetime

    ends = time.monotonic() + seconds
    latest: dict[tuple[dg.AssetKey, str | None], str] = {}
    deleted = kept = 0
    runs = instance.get_run_records(
        dg.RunsFilter(
            statuses=[
                dg.DagsterRunStatus.SUCCESS,
                dg.DagsterRunStatus.FAILURE,
                dg.DagsterRunStatus.CANCELED,
            ],
            created_before=datetime.fromtimestamp(before, UTC),
        ),
        ascending=True,
    )
    for record in runs:
        if time.monotonic() > ends:
            break
        run_id = record.dagster_run.run_id
        if _is_last(instance, run_id, latest):
            kept += 1
        else:
            instance.delete_run(run_id)
            deleted += 1
    return deleted, kept


def _is_last(instance: dg.DagsterInstance, run_id: str, latest: dict[Any, str]) -> bool:
    for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        dagster_event = event.dagster_event
        if dagster_event is None or dagster_event.asset_key is None:
            continue
        slot = (dagster_event.asset_key, dagster_event.partition)
        if slot not in latest:
            found = instance.fetch_materializations(
                dg.AssetRecordsFilter(
                    asset_key=slot[0], asset_partitions=[slot[1]] if slot[1] else None
                ),
                limit=1,
            ).records
            latest[slot] = found[0].run_id if found else ""
        if latest[slot] == run_id:
            return True
    return False


def maintenance_job(settings: Settings, clock: Clock = system_clock) -> dg.JobDefinition:
    """The job of every night.

    Args:
        settings: Name the feeds.
        clock: Says which runs are old.
    """
    write_checkpoints, prune_runs = checkpoints_op(settings), pruning_op(clock)

    @dg.job(tags={"dagster/max_retries": "0"})
    def maintenance() -> None:
        """Checkpoint the offset logs and delete old runs."""
        prune_runs(after=write_checkpoints())

    return maintenance
