"""`stock-pipeline sources`: what there is, which keys are set, and whether they work."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.sources.errors import SourceError
from stock_pipeline.sources.registry import SOURCES, open_source, source_kind, source_settings


def sources(
    check: Annotated[
        bool, typer.Option("--check", help="Ask each vendor whether its key works.")
    ] = False,
) -> None:
    """List the sources; with --check, ask all whose keys are set, once each.

    Exit code 1 when a key does not work or a vendor is away.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    settings, failed = get_settings(), False
    table = Table(box=None, pad_edge=False)
    for heading in ("source", "has", "key", "checked" if check else "what it is"):
        table.add_column(heading, overflow="fold")
    for name in SOURCES:
        kind, chosen = source_kind(name), source_settings(settings, name)
        key = "set" if chosen.api_key else "missing" if kind.needs_key else "none needed"
        text = Text(kind.summary)
        if check and key == "missing":
            text = Text(f"skipped: set STOCK_PIPELINE__SOURCES__{name.upper()}__API_KEY in .env")
        elif check:
            works, sentence = checked(settings, name)
            failed = failed or not works
            text = Text(f"{'✓' if works else '✗'} {sentence}", style="" if works else "bold red")
        table.add_row(name, ", ".join(kind.formats), key, text)
    Console().print(table)
    if failed:
        raise typer.Exit(1)


def checked(settings: Settings, name: str) -> tuple[bool, str]:
    """Whether a source works, and the sentence that it says."""
    try:
        source = open_source(settings, name, notify=lambda _: None, stop=threading.Event())
        return True, source.check()
    except SourceError as error:
        return False, str(error)
