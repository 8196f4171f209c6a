"""`stock-pipeline status` and `lag`: how far every feed is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stock_pipeline.ingest.offsets import lag as lag_of
from stock_pipeline.ingest.offsets import lost
from stock_pipeline.ingest.topic_health import topic_problems
from stock_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    from stock_pipeline.ingest.planner import Planner


@dataclass(frozen=True)
class FeedStatus:
    """How far one feed is.

    Attributes:
        feed: Name of the feed.
        topic: Its topic.
        topic_exists: Whether the broker has it.
        waiting: Readable offsets that no plan covers, per partition.
        lost: Offsets that retention deleted unread.
        undecided: Sequence numbers of planned batches without a decision.
        last_batch: Sequence number of the last plan, -1 for none.
        last_planned_at: When it was planned, ISO UTC, "" for never.
        incarnation: Life of the topic.
        problem: Why the brokers do not let us see the topic; "" where they do.
        checks: What the checks of the topic say in the UI, by name; "" where all is well.
    """

    feed: str
    topic: str
    topic_exists: bool
    waiting: dict[int, int]
    lost: int
    undecided: tuple[int, ...]
    last_batch: int
    last_planned_at: str
    incarnation: int
    problem: str = ""
    checks: dict[str, str] = field(default_factory=dict)


def feed_statuses(settings: Settings) -> list[FeedStatus]:
    """Status of every feed, from the offset log and the broker.

    Raises:
        KafkaUnavailableError: The brokers do not answer.
    """
    from stock_pipeline.ingest.planner import Planner

    planner = Planner(settings)
    try:
        return _statuses(planner)
    finally:
        planner.kafka.close()


def _statuses(planner: Planner) -> list[FeedStatus]:
    from stock_pipeline.ingest.topic_watch import TopicWatch

    settings, polled, watch = planner.settings, planner.poll(), TopicWatch(planner.kafka)
    statuses = []
    for name, feed in settings.feeds.items():
        state, offsets = planner.logs[name].state(), polled.get(feed.topic)
        refusal = polled.refused.get(feed.topic)
        planned_at = state.last_planned_at
        checks = {}
        if refusal is None:
            findings = watch.findings(feed, planner.logs[name], state, offsets)
            checks = topic_problems(state, feed.topic, offsets, findings)
        statuses.append(
            FeedStatus(
                name,
                feed.topic,
                offsets is not None or refusal is not None,
                lag_of(state, offsets) if offsets else {},
                sum(len(r) for r in lost(state, offsets).values()) if offsets else 0,
                tuple(plan.seq for plan in state.pending),
                state.next_seq - 1,
                planned_at.isoformat() if planned_at else "",
                state.incarnation,
                str(refusal or ""),
                checks,
            )
        )
    return statuses


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show every feed: last batch, what waits, what is undecided or lost."""
    statuses = feed_statuses(get_settings())
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in statuses], indent=2))
        return
    console = Console()
    console.print(feeds_table(statuses))
    for s in statuses:
        problems = [s.problem, *(f"{s.feed}: {said}" for said in s.checks.values() if said)]
        for problem in filter(None, problems):
            console.print(problem, style="red", markup=False)


def feeds_table(statuses: list[FeedStatus]) -> Table:
    """A row a feed, in 80 characters: a topic that is not named like its feed stands below it."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("feed", "batch", "planned (UTC)", "waiting", "undecided", "lost"):
        table.add_column(column, overflow="fold")
    for s in statuses:
        names = [s.feed]
        if s.topic != s.feed or not s.topic_exists:
            names.append(s.topic if s.topic_exists else f"{s.topic} (missing)")
        table.add_row(
            "\n".join(names),
            str(s.last_batch) if s.last_batch >= 0 else "none",
            s.last_planned_at[:16].replace("T", " "),
            f"{sum(s.waiting.values()):,}",
            ", ".join(map(str, s.undecided)) or "none",
            f"{s.lost:,}",
        )
    return table


def lag(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show the records that wait, per topic and partition."""
    statuses = feed_statuses(get_settings())
    if as_json:
        typer.echo(json.dumps({s.topic: s.waiting for s in statuses}, indent=2))
        return
    table = Table("topic", "partition", "lag")
    for s in statuses:
        for partition, waiting in sorted(s.waiting.items()):
            table.add_row(s.topic, str(partition), f"{waiting:,}")
    Console().print(table)
