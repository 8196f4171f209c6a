"""Runs that are under way."""

from __future__ import annotations

import dagster as dg


def in_progress(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job is queued or running."""
    unfinished = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    return bool(instance.get_run_ids(dg.RunsFilter(job_name=job, statuses=unfinished), limit=1))
