"""Silver and gold, the refresh that makes them, and what requests it."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.tables.factory import table_asset
from stock_pipeline.defs.tables.partitions import listed_partitions
from stock_pipeline.defs.tables.refresh import refresh_asset, roll_up_job
from stock_pipeline.defs.tables.schedules import roll_ups
from stock_pipeline.defs.tables.sensor import refresh_sensor
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """The tables of these settings.

    Args:
        settings: Name the feeds.
        clock: Says which sessions have closed, and when a refresh may run again.
    """
    listed = listed_partitions(settings)
    return dg.Definitions(
        assets=[
            *(table_asset(settings, clock, listed, table) for table in TABLES.values()),
            refresh_asset(settings, listed, clock),
        ],
        jobs=[roll_up_job],
        schedules=roll_ups(settings),
        sensors=[refresh_sensor(settings, listed, clock)],
    )
