"""What commands about one feed share."""

from __future__ import annotations

import typer

from stock_pipeline.settings import FeedSettings, Settings


def feed_settings(settings: Settings, name: str) -> FeedSettings:
    """Settings of a feed; ends the command with 2 where there is none of that name."""
    if name not in settings.feeds:
        typer.echo(f"There is no feed {name!r}; feeds: {', '.join(settings.feeds)}", err=True)
        raise typer.Exit(2)
    return settings.feeds[name]
