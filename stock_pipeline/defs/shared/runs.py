"""Runs that are under way."""

from __future__ import annotations

import dagster as dg

#: Statuses of runs that are queued or running.
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def in_progress(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job is queued or running."""
    return bool(instance.get_run_ids(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1))
