"""Schedules that run from the start, without anybody switching them on."""

from typing import Any

import dagster as dg


def schedule(
    name: str, job: Any, cron: str, description: str | None = None, timezone: str = "UTC"
) -> dg.ScheduleDefinition:
    """A schedule of a job that is on by default.

    Args:
        name: Shown in the UI.
        job: The job, or the asset job, that it starts.
        cron: When, in the time zone's local time.
        description: Shown in the UI.
        timezone: IANA name of the time zone.
    """
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
