"""`stock-pipeline produce`: from a source to a topic, until stopped."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    from stock_pipeline.commands.producing import Job
    from stock_pipeline.sources.source import Request, SourceKind, What

DEFAULT_EVERY_SECONDS = 30.0
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


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

    Exit code 0: all was delivered. 1: something was not; a sentence says what. 2: the command
    itself cannot be done.
    """
    from stock_pipeline.commands.producing import run
    from stock_pipeline.sources.source import Request, UsageError

    settings = get_settings()
    try:
        options = _options(option or [])
        options |= {"file": file} if file else {}
        options |= {"sample": "true"} if sample else {}
        names = tuple(dict.fromkeys(s.strip() for s in symbols.split(",") if s.strip()))
        request = Request(names, "bars", bar, _instant(start), _instant(end), options)
        every = _seconds(interval) if interval else None
        topic, message_format = _target(settings, feed, topic)
        job = _job(source, topic, message_format, request, what, every, batches)
    except UsageError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(run(settings, job))


def _job(
    source: str,
    topic: str,
    message_format: str | None,
    request: Request,
    what: str | None,
    every: float | None,
    batches: int | None,
) -> Job:
    """The request fitted to what the source is.

    Raises:
        UsageError: It does not fit.
    """
    from stock_pipeline.commands.producing import Job
    from stock_pipeline.sources.registry import source_kind
    from stock_pipeline.sources.source import ANY_FORMAT, UsageError

    kind = source_kind(source)
    chosen = _what(source, kind, what, message_format, topic)
    stream = chosen in kind.streams
    if stream and batches:
        raise UsageError(f"Source {source} sends {chosen} in one stream: leave out --batches.")
    if kind.needs_symbols and not request.symbols:
        raise UsageError(f"Source {source} needs --symbols, such as --symbols IBM,MSFT.")
    options = dict(request.options)
    if stream and every:
        options["every"] = f"{every:g}"
    if kind.formats[chosen] == ANY_FORMAT and message_format:
        options.setdefault("format", message_format)
    request = replace(request, what=chosen, options=options)
    return Job(source, topic, request, stream, every or DEFAULT_EVERY_SECONDS, batches)


def _target(settings: Settings, feed: str | None, topic: str | None) -> tuple[str, str | None]:
    """Topic, and the format that its feed wants."""
    from stock_pipeline.sources.source import UsageError

    if (feed is None) == (topic is None):
        raise UsageError("Give --feed or --topic, one of them.")
    if topic is not None:
        formats = [f.format for f in settings.feeds.values() if f.topic == topic]
        return topic, formats[0] if formats else None
    if feed not in settings.feeds:
        raise UsageError(f"There is no feed {feed!r}; feeds: {', '.join(settings.feeds)}.")
    found = settings.feeds[feed]
    return found.topic, found.format


def _what(
    source: str, kind: SourceKind, what: str | None, message_format: str | None, topic: str
) -> What:
    """The kind of data: as asked for, else the first whose messages the feed takes."""
    from stock_pipeline.sources.source import ANY_FORMAT, UsageError

    fitting = [
        w
        for w, f in kind.formats.items()
        if message_format is None or f in {message_format, ANY_FORMAT}
    ]
    has = ", ".join(kind.formats)
    if what is None:
        if fitting:
            return fitting[0]
        raise UsageError(
            f"Topic {topic} takes messages of format {message_format}, which source {source} does"
            f" not have; it has {has}. Name the feed or topic of another format."
        )
    chosen = next((w for w in kind.formats if w == what), None)
    if chosen is None:
        raise UsageError(f"Source {source} has no {what!r}; it has {has}.")
    if chosen not in fitting:
        raise UsageError(
            f"Topic {topic} takes messages of format {message_format}, not {chosen} of {source}."
            " Name the feed or topic of another format."
        )
    return chosen


def _options(given: list[str]) -> dict[str, str]:
    from stock_pipeline.sources.source import UsageError

    options = dict(text.partition("=")[::2] for text in given)
    if bad := [name for name, value in options.items() if not name or not value]:
        raise UsageError(f"--option takes name=value, not {bad[0]!r}.")
    return options


def _seconds(text: str) -> float:
    from stock_pipeline.sources.source import UsageError

    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text.strip().lower())
    if not found or found[2] not in _SECONDS or not 0 < float(found[1]) < 1e6:
        raise UsageError(f"--interval is a time such as 30s, 5m or 1h, not {text!r}.")
    return float(found[1]) * _SECONDS[found[2]]


def _instant(text: str | None) -> datetime | None:
    from stock_pipeline.sources.source import UsageError

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no UTC time such as 2026-01-05 or 2026-01-05T14:30."
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
