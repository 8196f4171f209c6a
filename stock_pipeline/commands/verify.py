"""`stock-pipeline verify`: whether log, lake, Kafka, catalogue and Athena agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_pipeline.errors import UsageError
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import get_settings
from stock_pipeline.verify.run import Scope
from stock_pipeline.verify.run import verify as compare

if TYPE_CHECKING:
    from rich.console import Console

    from stock_pipeline.verify.report import Report

DATE = ["%Y-%m-%d"]


def verify(
    feed: Annotated[
        list[str] | None, typer.Option(help="Name of a feed; may be repeated. All by default.")
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=DATE, help="First arrival date (UTC) of batches."),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=DATE, help="Last one, included.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    athena: Annotated[bool, typer.Option(help="Ask Athena, which bills its queries.")] = True,
    broker: Annotated[bool, typer.Option(help="Read again what Kafka still holds.")] = True,
    grace: Annotated[
        float,
        typer.Option(min=0, help="Seconds that tables and catalogue may be behind their inputs."),
    ] = 300.0,
) -> None:
    """Compare the offset log, the lake, Kafka, the catalogue and Athena; changes nothing.

    Exit code 0 when all agree, 1 with a sentence for each finding.
    """
    settings = get_settings()
    unknown = [name for name in feed or () if name not in settings.feeds]
    if unknown:
        feeds = ", ".join(settings.feeds)
        raise UsageError(f"There is no feed {', '.join(unknown)}; feeds: {feeds}")
    if first and last and last < first:
        raise UsageError("--to is before --from: nothing would be compared.")
    scope = Scope(
        feeds=tuple(dict.fromkeys(feed or ())),
        first=first.date() if first else None,
        last=last.date() if last else None,
        broker=broker,
        athena=athena,
        grace_seconds=grace,
    )
    with _progress() as advance:
        report = compare(settings, Lake(settings.aws), scope, advance)
    if as_json:
        typer.echo(json.dumps({"agrees": report.agrees} | asdict(report), indent=2))
    else:
        from rich.console import Console

        show(report, Console())
    if not report.agrees:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on the terminal's error stream for the step that is under way."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield advance


def show(report: Report, console: Console) -> None:
    """Print where the offsets went, what was compared, and each finding in a sentence."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # Columns that say the same of every line are left out.
    lives = any(entry.incarnation > 1 for entry in report.ledgers)
    flying = any(entry.in_flight for entry in report.ledgers)
    ledgers = Table(title="Offsets = rows + rejects + holes + lost", box=box.SIMPLE)
    for column in ("feed", *(["life"] if lives else []), "p", "from"):
        ledgers.add_column(column, overflow="fold")
    counts = ("offsets", "rows", "rejects", "holes", "lost", *(["open"] if flying else []))
    for column in (*counts, ""):
        ledgers.add_column(column, justify="right", no_wrap=True)
    for entry in report.ledgers:
        numbers = [entry.offsets, entry.accepted, entry.rejected, entry.holes, entry.lost]
        ledgers.add_row(
            entry.feed,
            *([str(entry.incarnation)] if lives else []),
            str(entry.partition),
            f"{entry.start:,}",
            *(f"{n:,}" for n in (*numbers, *([entry.in_flight] if flying else []))),
            "[green]✓[/]" if entry.balanced else "[red]✗[/]",
        )
    console.print(ledgers)
    checks = Table(title="Compared", box=box.SIMPLE)
    checks.add_column("what", no_wrap=True)
    checks.add_column("how much", overflow="fold")
    checks.add_column("read", justify="right")
    checks.add_column("findings", justify="right")
    for check in report.checks:
        found = f"[red]✗ {check.findings}[/]" if check.findings else "[green]✓[/]"
        size = f"{check.bytes / 1e6:,.1f} MB" if check.bytes else ""
        checks.add_row(Text(check.name), Text(check.sentence), size, found)
    console.print(checks)
    for note in report.notes:
        console.print(Text(f"- {note}"), soft_wrap=True)
    for finding in report.findings:
        console.print(
            Text.assemble(("✗ ", "red"), (finding.kind, "bold red"), f": {finding.sentence}"),
            soft_wrap=True,
        )
        console.print(Text(f"    {finding.place}\n    → {finding.action}"), soft_wrap=True)
    count = len(report.findings)
    console.print(
        "Everything agrees."
        if report.agrees
        else f"{count} {'finding' if count == 1 else 'findings'}; nothing was changed."
    )
