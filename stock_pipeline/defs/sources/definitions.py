"""The polls, and when they ask."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.sources.assets import poll_asset
from stock_pipeline.defs.sources.schedules import poll_schedule
from stock_pipeline.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:
    """What asks the vendors that the settings name."""
    return dg.Definitions(
        assets=[poll_asset(settings, name) for name in settings.polls],
        schedules=[poll_schedule(settings, name) for name in settings.polls],
    )
