"""Gold by Athena, its job, its schedule, and the sensor that requests the first comparison."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.athena.assets import (
    athena_asset,
    athena_job,
    athena_parity_hourly,
    first_parity_sensor,
)
from stock_pipeline.lib.schemas import tables_of
from stock_pipeline.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:
    """What compares Athena with DuckDB."""
    return dg.Definitions(
        assets=[athena_asset(settings, table) for table in tables_of("gold")],
        jobs=[athena_job],
        schedules=[athena_parity_hourly],
        sensors=[first_parity_sensor(settings)],
    )
