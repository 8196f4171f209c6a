"""`stock-pipeline status` and `lag`: how far every feed is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stock_pipeline.ingest.topics.status import FeedStatus, feed_statuses
from stock_pipeline.settings import get_settings


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
