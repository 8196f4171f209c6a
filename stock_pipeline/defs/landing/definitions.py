"""History as assets."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.landing.assets import landing_asset
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """Daily and intraday history of the sources that the settings name."""
    return dg.Definitions(
        assets=[
            landing_asset(settings, source, daily=daily, clock=clock)
            for source, wanted in settings.history.items()
            for daily, there in ((True, wanted.daily), (False, wanted.intraday))
            if there
        ]
    )
