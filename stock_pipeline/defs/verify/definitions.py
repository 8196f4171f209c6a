"""The nightly reconciliation: checks on feeds, tables and the catalogue."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.verify.checks import nightly_verify, reconciliation, verify_job
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def definitions(settings: Settings, clock: Clock = system_clock) -> dg.Definitions:
    """What verifies the lake of these settings.

    Args:
        settings: Name the feeds.
        clock: Says which dates the last ones are.
    """
    checks = reconciliation(settings, clock)
    job = verify_job(checks)
    return dg.Definitions(asset_checks=[checks], jobs=[job], schedules=[nightly_verify(job)])
