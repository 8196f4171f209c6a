"""`stock-pipeline doctor`: every dependency, what it answers, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from stock_pipeline.doctor.diagnose import diagnose
from stock_pipeline.doctor.finding import DoctorFinding
from stock_pipeline.settings import SettingsError, load_settings

MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]", "skipped": "-"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check every dependency and say in plain words what is wrong and what to do.

    Exit code 1 when something fails. Reads everything; writes only below `_probe/` of the bucket,
    and removes that again. Never prints a secret.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        remedy = "Correct these lines; nothing else was checked."
        findings = [DoctorFinding("settings", "failed", str(error), remedy)]
    else:
        answer = f"valid; profile {settings.profile}, {len(settings.feeds)} feeds"
        findings = [DoctorFinding("settings", "ok", answer), *diagnose(settings)]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def show(findings: list[DoctorFinding]) -> None:
    """Print the findings as a table, and the failed ones' remedies in it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        answer = Text(finding.answer)
        if finding.remedy and finding.state in {"failed", "warning"}:
            answer.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(MARKS[finding.state], Text(finding.name), answer)
    console = Console()
    console.print(table)
    failed = sum(finding.state == "failed" for finding in findings)
    passed = sum(finding.state == "ok" for finding in findings)
    console.print(f"\n{passed} of {len(findings)} checks passed, {failed} failed.")
