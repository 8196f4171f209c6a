"""`stock-pipeline where`: what became of one offset."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from stock_pipeline.commands.feed import feed_settings
from stock_pipeline.ingest.where import locate
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import get_settings


def where(
    feed: Annotated[str, typer.Option(help="Name of the feed.")],
    partition: Annotated[int, typer.Option(min=0)],
    offset: Annotated[int, typer.Option(min=0)],
    incarnation: Annotated[
        int | None, typer.Option(min=1, help="Life of the topic; the last one by default.")
    ] = None,
) -> None:
    """Tell the batch, the run and the object that hold an offset, and its row or reject."""
    settings = get_settings()
    feed_settings(settings, feed)
    found = locate(Lake(settings.aws), feed, partition, offset, incarnation)
    typer.echo(json.dumps(found, indent=2, default=str))
    if found["fate"] == "not planned":
        raise typer.Exit(1)
