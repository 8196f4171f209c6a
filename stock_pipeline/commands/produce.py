"""`stock-pipeline produce`: from a source to a topic, until stopped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from stock_pipeline.commands.producing import run
from stock_pipeline.errors import UsageError
from stock_pipeline.settings import get_settings
from stock_pipeline.sources.jobs import job_for
from stock_pipeline.sources.source import SourceRequest


def produce(
    source: Annotated[str, typer.Option(help="Where from; `stock-pipeline sources` lists them.")],
    feed: Annotated[str | None, typer.Option(help="Feed that the messages are for.")] = None,
    topic: Annotated[str | None, typer.Option(help="A topic of no feed, instead.")] = None,
    symbols: Annotated[str, typer.Option(help="As the source spells them, with commas.")] = "",
    what: Annotated[
        str | None, typer.Option(help="Kind of data.", show_default="what fits the feed")
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(help="From round to round, or from row to row: 30s, 5m, 1h.", metavar="TIME"),
    ] = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Rounds; until stopped by default.")
    ] = None,
    bar: Annotated[str | None, typer.Option(help="Length of a bar: 1m, 5m, 1h, 1d.")] = None,
    start: Annotated[str | None, typer.Option(help="UTC time or day: history from there.")] = None,
    end: Annotated[str | None, typer.Option(help="UTC time or day before which it ends.")] = None,
    file: Annotated[str | None, typer.Option(help="Of source csv.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Rows at random, of csv.")] = False,
    option: Annotated[
        list[str] | None, typer.Option(help="name=value of this source; may be repeated.")
    ] = None,
) -> None:
    """Fetch from a source and send to a feed's topic, until stopped.

    Exit code 0: all was delivered. 1: something was not; a sentence says what. 2: it cannot be
    done, however often it is tried: wrong options, no key, or one whose plan does not hold that.
    """
    settings = get_settings()
    options = _options(option or [])
    options |= {"file": file} if file else {}
    options |= {"sample": "true"} if sample else {}
    names = tuple(dict.fromkeys(s.strip() for s in symbols.split(",") if s.strip()))
    request = SourceRequest(names, "bars", bar, _instant(start), _instant(end), options)
    job = job_for(
        settings,
        source,
        request,
        feed=feed,
        topic=topic,
        what=what,
        interval=interval,
        batches=batches,
    )
    raise typer.Exit(run(settings, job))


def _options(given: list[str]) -> dict[str, str]:

    options = dict(text.partition("=")[::2] for text in given)
    if bad := [name for name, value in options.items() if not name or not value]:
        raise UsageError(f"--option takes name=value, not {bad[0]!r}.")
    return options


def _instant(text: str | None) -> datetime | None:

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no UTC time such as 2026-01-05 or 2026-01-05T14:30."
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
