"""The Glue catalogue, the job that crawls, and the sensor that requests it."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.catalog.assets import catalog_job, catalogue_asset, catalogue_sensor
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """What keeps the catalogue of these settings' lake."""
    return dg.Definitions(
        assets=[catalogue_asset(settings)],
        jobs=[catalog_job],
        sensors=[catalogue_sensor(settings, clock)],
    )
