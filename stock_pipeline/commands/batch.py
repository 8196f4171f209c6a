"""`stock-pipeline batch`: decided batches, decided again."""

from __future__ import annotations

from typing import Annotated

import typer

from stock_pipeline.commands.feed import feed_settings
from stock_pipeline.commands.waiting import tell_what_became_of
from stock_pipeline.errors import UserError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.rejects.reread_plans import plan_supersede
from stock_pipeline.settings import get_settings

batch = typer.Typer(
    help="Decided batches, decided again.", no_args_is_help=True, add_completion=False
)


@batch.callback()
def _batch() -> None:
    """Keep `supersede` a subcommand."""


@batch.command()
def supersede(
    feed: Annotated[str, typer.Argument(metavar="FEED")],
    seqs: Annotated[list[int], typer.Argument(metavar="BATCH...", min=0)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until they are decided.")] = True,
) -> None:
    """Read batches from Kafka again with the decoder of today and put their rows in the old place.

    For accepted records that an old decoder read wrong, while Kafka still has them. The old objects
    stay; their rows count no more, and the silver partitions that they touch become due.
    """
    settings = get_settings()
    topic = feed_settings(settings, feed).topic
    planner = Planner(settings)
    log, offsets = planner.logs[feed], planner.poll()[topic]
    if offsets is None:
        raise UserError(f"Topic {topic} does not exist: nothing can be read again.")
    if not yes:
        typer.confirm(
            f"Read {len(seqs)} batches of feed {feed} again and replace their rows?", abort=True
        )
    plans = []
    for seq in seqs:
        plan = plan_supersede(log, seq, offsets)
        typer.echo(f"Batch {seq} is read again as batch {plan.seq}.")
        plans.append(plan)
    tell_what_became_of(log, plans, wait=wait)
