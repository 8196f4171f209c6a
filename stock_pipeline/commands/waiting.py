"""Commands that planned batches and wait for what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from stock_pipeline.ingest.rejects.reread_plans import decided
from stock_pipeline.ingest.rejects.rereads import outcome

if TYPE_CHECKING:
    from stock_pipeline.ingest.documents import Plan
    from stock_pipeline.ingest.offset_log import OffsetLog

#: A sensor tick, a run's start and the run itself, on a busy machine.
SECONDS = 120.0


def tell_what_became_of(log: OffsetLog, plans: list[Plan], *, wait: bool) -> None:
    """Print one sentence for each batch when its run has decided it."""
    if not wait:
        typer.echo("The sensor plan_batches starts their runs with its next tick.")
        return
    for commit in decided(log, plans, SECONDS):
        typer.echo(f"Batch {commit.decision.plan.seq}: {outcome(commit.decision)}.")
