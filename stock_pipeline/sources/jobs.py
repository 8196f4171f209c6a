"""What to fetch for which topic: a request that fits both the source and the topic."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from stock_pipeline.settings import Settings
from stock_pipeline.settings.sections.sources import What
from stock_pipeline.sources.errors import RequestError
from stock_pipeline.sources.registry import source_kind
from stock_pipeline.sources.source import ANY_FORMAT, SourceKind, SourceRequest

DEFAULT_EVERY_SECONDS = 30.0
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True)
class Job:
    """A request that its source can answer, and whose messages its topic takes.

    Attributes:
        source: Name.
        topic: Topic that the messages go to.
        request: What is asked for.
        stream: Whether one fetch lasts until it is stopped.
        every: Seconds between rounds.
        batches: Number of rounds; None for no end.
    """

    source: str
    topic: str
    request: SourceRequest
    stream: bool
    every: float
    batches: int | None


def job_for(
    settings: Settings,
    source: str,
    request: SourceRequest,
    *,
    feed: str | None = None,
    topic: str | None = None,
    what: str | None = None,
    interval: str | None = None,
    batches: int | None = None,
) -> Job:
    """Make a job of a request, or refuse it.

    Args:
        settings: Name the feeds.
        source: Name of the source.
        request: Everything but the kind of data.
        feed: Feed whose topic the messages go to; or
        topic: Name of any topic.
        what: Kind of data; without it, the first that fits the topic.
        interval: Time from round to round, or from row to row, such as 30s.
        batches: Number of rounds; None for no end.

    Raises:
        RequestError: It does not fit.
    """
    every = _seconds(interval) if interval else None
    topic, message_format = _target(settings, feed, topic)
    kind = source_kind(source)
    chosen = _what(source, kind, what, message_format, topic)
    stream = chosen in kind.streams
    if stream and batches:
        raise RequestError(f"Source {source} sends {chosen} in one stream: leave out --batches.")
    if kind.needs_symbols and not request.symbols:
        raise RequestError(f"Source {source} needs --symbols, such as --symbols IBM,MSFT.")
    options = dict(request.options)
    if stream and every and "every" not in kind.taken(chosen):
        raise RequestError(f"Source {source} sends {chosen} as they come: leave out --interval.")
    if stream and every:
        options["every"] = f"{every:g}"
    if kind.formats[chosen] == ANY_FORMAT and message_format:
        options.setdefault("format", message_format)
    request = replace(request, what=chosen, options=options)
    return Job(source, topic, request, stream, every or DEFAULT_EVERY_SECONDS, batches)


def _target(settings: Settings, feed: str | None, topic: str | None) -> tuple[str, str | None]:
    """The topic, and the message format of its feed."""
    if (feed is None) == (topic is None):
        raise RequestError("Give --feed or --topic, one of them.")
    if topic is not None:
        formats = [f.format for f in settings.feeds.values() if f.topic == topic]
        return topic, formats[0] if formats else None
    if feed not in settings.feeds:
        raise RequestError(f"There is no feed {feed!r}; feeds: {', '.join(settings.feeds)}.")
    found = settings.feeds[feed]
    return found.topic, found.format


def _what(
    source: str, kind: SourceKind, what: str | None, message_format: str | None, topic: str
) -> What:
    """The kind of data: the one asked for, else the first whose messages the feed takes."""
    fitting = [
        w
        for w, f in kind.formats.items()
        if message_format is None or f in {message_format, ANY_FORMAT}
    ]
    has = ", ".join(kind.formats)
    if what is None:
        if fitting:
            return fitting[0]
        raise RequestError(
            f"Topic {topic} takes messages of format {message_format}, which source {source} does"
            f" not have; it has {has}. Name the feed or topic of another format."
        )
    chosen = next((w for w in kind.formats if w == what), None)
    if chosen is None:
        raise RequestError(f"Source {source} has no {what!r}; it has {has}.")
    if chosen not in fitting:
        raise RequestError(
            f"Topic {topic} takes messages of format {message_format}, not {chosen} of {source}."
            " Name the feed or topic of another format."
        )
    return chosen


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text.strip().lower())
    if not found or found[2] not in _SECONDS or not 0 < float(found[1]) < 1e6:
        raise RequestError(f"--interval is a time such as 30s, 5m or 1h, not {text!r}.")
    return float(found[1]) * _SECONDS[found[2]]
