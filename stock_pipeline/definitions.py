"""The code location: everything below `defs`, and the executor."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs"),
        # A step process of its own costs seconds of start-up; every run here has one step.
        dg.Definitions(executor=dg.in_process_executor),
    )
