"""Bronze and quarantine of every feed, their jobs, and the sensor that plans batches."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.ingest.assets import ingest_assets
from stock_pipeline.defs.ingest.jobs import ingest_job
from stock_pipeline.defs.ingest.sensor import planning_sensor
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """What reads the feeds of these settings."""
    jobs = [ingest_job(name) for name in settings.feeds]
    return dg.Definitions(
        assets=[ingest_assets(settings, name, clock) for name in settings.feeds],
        jobs=jobs,
        sensors=[planning_sensor(settings, jobs, clock)],
    )
