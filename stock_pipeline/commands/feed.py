"""`stock-pipeline feed`: decisions about a feed that only a person may make."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from stock_pipeline.settings import get_settings

feed = typer.Typer(help="Decisions about a feed that only a person may make.", no_args_is_help=True)


@feed.callback()
def _feed() -> None:
    """Keep `adopt` a subcommand."""


@feed.command()
def adopt(
    name: Annotated[str, typer.Argument(metavar="FEED")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Go on with a topic that was recreated or truncated, from its beginning.

    Opens a new incarnation: offsets count anew, rows of both lives stay apart. What a batch of the
    old life had planned and not read is counted as lost.
    """
    from stock_pipeline.lib.decode import DECODER_VERSION
    from stock_pipeline.lib.offsets import adopt as adopt_plan
    from stock_pipeline.resources.planner import Planner

    settings = get_settings()
    if name not in settings.feeds:
        typer.echo(f"There is no feed {name!r}; feeds: {', '.join(settings.feeds)}", err=True)
        raise typer.Exit(2)
    planner = Planner(settings)
    topic = settings.feeds[name].topic
    offsets = planner.poll()[topic]
    if offsets is None:
        typer.echo(f"Topic {topic} does not exist: nothing to adopt.", err=True)
        raise typer.Exit(1)
    log = planner.logs[name]
    state = log.state()
    waiting = sum(o.end - o.beginning for o in offsets.partitions.values())
    typer.echo(
        f"Feed {name} will read topic {topic} from its beginning ({waiting:,} records) as "
        f"incarnation {state.incarnation + 1}."
    )
    if not yes:
        typer.confirm("Adopt it?", abort=True)
    plan = adopt_plan(
        state,
        offsets,
        topic=topic,
        decoder_version=DECODER_VERSION,
        now=datetime.now(UTC).replace(tzinfo=None),
    )
    if not log.put_plan(plan):
        typer.echo("Another plan was written meanwhile: look at it, then adopt again.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Adopted: incarnation {plan.incarnation} begins with batch {plan.seq + 1}.")
