"""What this folder defines."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.kafka import assets
from stock_pipeline.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:  # noqa: ARG001 - it will carry them
    """Its assets, checks, jobs, schedules and sensors."""
    return dg.load_definitions_from_modules([assets])
