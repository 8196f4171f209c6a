"""`stock-pipeline feed`: decisions about a feed that only a person may make."""

from __future__ import annotations

from typing import Annotated

import typer

from stock_pipeline.errors import UsageError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics.incarnations import (
    NewIncarnation,
    adoption,
    new_start,
    open_incarnation,
)
from stock_pipeline.settings import FeedSettings, Settings, get_settings

feed = typer.Typer(
    help="Decisions about a feed that only a person may make.",
    no_args_is_help=True,
    add_completion=False,
)

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@feed.command()
def adopt(name: Annotated[str, typer.Argument(metavar="FEED")], yes: YesOption = False) -> None:
    """Go on with a topic that was recreated or truncated, from its beginning.

    Opens a new incarnation: offsets count anew, rows of both lives stay apart. What a batch of the
    old life had planned and not read is counted as lost.
    """
    planner = _planner(name)
    new = adoption(planner, name)
    typer.echo(
        f"Feed {name} will read topic {planner.settings.feeds[name].topic} from its beginning "
        f"({new.records:,} records) as incarnation {new.number}."
    )
    if not yes:
        typer.confirm("Adopt it?", abort=True)
    _open(planner, new)


@feed.command()
def reset(
    name: Annotated[str, typer.Argument(metavar="FEED")],
    to: Annotated[
        str, typer.Option(help="earliest, latest, or a UTC time such as 2026-11-21T09:30.")
    ],
    yes: YesOption = False,
) -> None:
    """Go on with a topic from a place of your choice, in a new incarnation.

    A topic that was recreated may be read from anywhere. In one that is still the same the feed may
    only go forward: what it skips is never read. To read records again: batch supersede.
    """
    planner = _planner(name)
    new = new_start(planner, name, to)
    starts = sorted((new.starts or {}).items())
    places = ", ".join(f"partition {p} at {start}" for p, start in starts)
    typer.echo(
        f"Feed {name} will go on as incarnation {new.number} with {places}; "
        f"{new.skipped:,} offsets before that are never read."
    )
    if not yes:
        typer.confirm("Reset it?", abort=True)
    _open(planner, new)


def _planner(name: str) -> Planner:
    settings = get_settings()
    feed_settings(settings, name)
    return Planner(settings)


def _open(planner: Planner, new: NewIncarnation) -> None:
    plan = open_incarnation(planner, new)
    typer.echo(f"Done: incarnation {plan.incarnation} begins with batch {plan.seq + 1}.")


def feed_settings(settings: Settings, name: str) -> FeedSettings:
    """Settings of a feed.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in settings.feeds:
        raise UsageError(f"There is no feed {name!r}; feeds: {', '.join(settings.feeds)}")
    return settings.feeds[name]
