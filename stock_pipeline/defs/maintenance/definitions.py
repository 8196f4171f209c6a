"""The maintenance of every night."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.maintenance.jobs import maintenance_job
from stock_pipeline.defs.shared.schedules import schedule
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """The job and when it runs."""
    job = maintenance_job(settings, clock)
    nightly = schedule("nightly_maintenance", job, "30 3 * * *")
    return dg.Definitions(jobs=[job], schedules=[nightly])
