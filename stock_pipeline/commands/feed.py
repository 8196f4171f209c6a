"""`stock-pipeline feed`: decisions about a feed that only a person may make."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_pipeline.errors import UsageError
from stock_pipeline.ingest.anchors import topic_change
from stock_pipeline.ingest.decode import DECODER_VERSION
from stock_pipeline.ingest.offsets import adopt as adopt_plan
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics.incarnations import start_offsets
from stock_pipeline.settings import FeedSettings, Settings, get_settings

if TYPE_CHECKING:
    from stock_pipeline.kafka.offsets import TopicOffsets

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
    planner, offsets = _topic(get_settings(), name)
    log, topic = planner.logs[name], planner.settings.feeds[name].topic
    if not topic_change(planner.settings.kafka, topic, log.state(), offsets):
        typer.echo(
            f"Topic {topic} is the one that feed {name} reads: "
            "adopting it would bring every record twice. Nothing was changed. To leave out what "
            f"waits: stock-pipeline feed reset {name} --to latest",
            err=True,
        )
        raise typer.Exit(1)
    waiting = sum(o.end - o.beginning for o in offsets.partitions.values())
    typer.echo(
        f"Feed {name} will read topic {topic} from its beginning "
        f"({waiting:,} records) as incarnation {log.state().incarnation + 1}."
    )
    if not yes:
        typer.confirm("Adopt it?", abort=True)
    _open_incarnation(planner, name, offsets, None)


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
    settings = get_settings()
    planner, offsets = _topic(settings, name)
    log = planner.logs[name]
    state = log.state()
    try:
        starts = start_offsets(planner, name, offsets, to)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    skipped = sum(start - offsets.partitions[p].beginning for p, start in starts.items())
    if not topic_change(settings.kafka, settings.feeds[name].topic, state, offsets):
        if state.pending:
            typer.echo(
                f"Batches {[plan.seq for plan in state.pending]} of feed {name} are in flight: "
                "their records would be lost. Nothing was changed; reset it when they are decided.",
                err=True,
            )
            raise typer.Exit(1)
        planned = {
            p: max(state.next_offsets.get(p, 0), offsets.partitions[p].beginning) for p in starts
        }
        back = {p: start for p, start in starts.items() if start < planned[p]}
        if back:
            partition, start = min(back.items())
            typer.echo(
                f"Partition {partition} is read up to offset {planned[partition]}: going back to "
                f"{start} would bring its records twice. Nothing was changed; to read batches "
                f"again: stock-pipeline batch supersede {name} ...",
                err=True,
            )
            raise typer.Exit(1)
        skipped = sum(start - planned[p] for p, start in starts.items())
    places = ", ".join(f"partition {p} at {start}" for p, start in sorted(starts.items()))
    typer.echo(
        f"Feed {name} will go on as incarnation {state.incarnation + 1} with {places}; "
        f"{skipped:,} offsets before that are never read."
    )
    if not yes:
        typer.confirm("Reset it?", abort=True)
    _open_incarnation(planner, name, offsets, starts)


def _topic(settings: Settings, name: str) -> tuple[Planner, TopicOffsets]:

    topic = feed_settings(settings, name).topic
    planner = Planner(settings)
    offsets = planner.poll()[topic]
    if offsets is None:
        typer.echo(f"Topic {topic} does not exist: create it first.", err=True)
        raise typer.Exit(1)
    return planner, offsets


def _open_incarnation(
    planner: Planner, name: str, offsets: TopicOffsets, starts: dict[int, int] | None
) -> None:

    log = planner.logs[name]
    plan = adopt_plan(
        log.state(),
        offsets,
        topic=planner.settings.feeds[name].topic,
        decoder_version=DECODER_VERSION,
        now=datetime.now(UTC).replace(tzinfo=None),
        starts=starts,
    )
    if not log.put_plan(plan):
        typer.echo("Another plan was written meanwhile: look at it, then try again.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Done: incarnation {plan.incarnation} begins with batch {plan.seq + 1}.")


def feed_settings(settings: Settings, name: str) -> FeedSettings:
    """Settings of a feed.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in settings.feeds:
        raise UsageError(f"There is no feed {name!r}; feeds: {', '.join(settings.feeds)}")
    return settings.feeds[name]
