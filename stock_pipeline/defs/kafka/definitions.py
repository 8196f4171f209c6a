"""The topics, as external assets with checks."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.kafka.assets import topic_checks, topic_spec
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """The topics of the feeds of these settings."""
    return dg.Definitions(
        assets=[topic_spec(settings, name) for name in settings.feeds],
        asset_checks=[topic_checks(settings, clock)],
    )
