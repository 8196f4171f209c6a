"""The real data set, where it lies beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from stock_pipeline.settings import project_root
from stock_pipeline_tests.support.location import location

SHARED = Path(os.environ.get("STOCK_PIPELINE_SHARED", project_root().parent / "shared"))

INDICES = SHARED / "data" / "indexProcessed.csv"

needs_indices = pytest.mark.skipif(
    not INDICES.exists(), reason=f"{INDICES} is not here: the shared data set is not committed"
)


def refresh_until_nothing_is_due() -> int:
    """Run refreshes as the sensor would request them; returns how many made something."""
    runs = 0
    with dg.DagsterInstance.ephemeral() as instance:
        while True:
            result = location().refresh(instance=instance)
            assert result.success
            made = [e for e in result.get_asset_materialization_events() if e.partition]
            if not made:
                return runs
            runs += 1
