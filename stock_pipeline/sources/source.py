"""The protocol of a source: it takes a request, yields messages, and reports waits and gaps.

A vendor is one module that defines `SOURCE`, named in `registry.py`. docs/adding_a_source.md shows
how to add one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from stock_pipeline.errors import StoppedError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.local import SimulatorSettings
from stock_pipeline.settings.sections.sources import SourceSettings, What
from stock_pipeline.sources.errors import RequestError, SourceError, SymbolError

if TYPE_CHECKING:
    from stock_pipeline.sources.quotas import Quotas


@dataclass(frozen=True)
class SourceRequest:
    """What is asked of a source. A part that the source does not support is a `RequestError`.

    Attributes:
        symbols: As the vendor spells them.
        what: Kind of data, one of those that the source names.
        interval: Length of a bar: 1m, 5m, 15m, 30m, 1h or 1d.
        start: First instant or day wanted, aware; None for the latest that the vendor has.
        end: End of the span (exclusive), aware; needs a start.
        options: Options that only this source has, such as `outputsize`.
    """

    symbols: tuple[str, ...]
    what: What = "bars"
    interval: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An option that is true or false.

        Raises:
            RequestError: It is something else.
        """
        value = self.options.get(name, str(default).lower())
        if value not in {"true", "false"}:
            raise RequestError(
                f"Option {name} is true or false, not {value!r}; nothing was fetched."
            )
        return value == "true"


@dataclass(frozen=True)
class Notice:
    """Something that the user should see while a source goes on.

    Attributes:
        kind: wait: a wait for a reason that the user should know. pause: a planned wait. skipped:
            something that was asked for does not come. info: anything else.
        sentence: One sentence, without secrets.
        until: When a wait ends, aware.
        error: The error because of which something is skipped, if there was one.
    """

    kind: Literal["wait", "pause", "skipped", "info"]
    sentence: str
    until: datetime | None = None
    error: SourceError | None = None


#: In `SourceKind.formats`: the format that the option `format` names.
ANY_FORMAT = "any"


@dataclass(frozen=True)
class SourceContext:
    """What a source works with.

    Attributes:
        settings: The source's settings; everything but the key has a value.
        home: Folder of local state, for quotas.
        notify: Called with what the user should see, from the thread that fetches.
        stop: Set when the user stops the command.
        simulator: The simulated market of the settings, for the source that simulates one.
    """

    settings: SourceSettings
    home: Path
    notify: Callable[[Notice], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    simulator: SimulatorSettings = field(default_factory=SimulatorSettings)

    def wait(self, seconds: float, reason: str, kind: Literal["wait", "pause"] = "wait") -> None:
        """Wait, and show the user the reason.

        Raises:
            StoppedError: The user has stopped the command.
        """
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        self.notify(Notice(kind, reason, until))
        if self.stop.wait(seconds):
            raise StoppedError


class Source(Protocol):
    """Yields messages. Each use makes a new one; one thread uses it."""

    @property
    def quotas(self) -> Quotas | None:
        """Quotas of the key; None where the vendor has no limits."""
        ...

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """Yield what was asked for, each message once, in the vendor's order.

        A symbol that fails becomes a notice, and the others are still fetched. A stream ends when
        it is stopped.

        Raises:
            SourceError: Nothing more can be fetched; what was yielded before is valid.
            StoppedError: The user has stopped the command during a wait.
        """
        ...

    def check(self) -> str:
        """Ask the vendor the cheapest question that shows whether the key works.

        Returns:
            One sentence that says what works.

        Raises:
            SourceError: It does not work.
        """
        ...


@dataclass(frozen=True)
class SourceKind:
    """What the rest of the project knows of a source.

    Attributes:
        summary: A few words for lists.
        open: Makes the source.
        formats: Kinds of data, and the message format of each: that of a feed, `ANY_FORMAT` or
            None.
        takes: What a request may set besides symbols: `bar` (the interval), `start`, `end`, and
            names of options. By kind of data; for bars also by length, such as `bars of 1d`.
        defaults: Settings that apply where the user sets none.
        needs_key: Whether `api_key` must be set.
        needs_symbols: Whether a request must name symbols.
        streams: The kinds of data that stream: one fetch lasts until it is stopped.
    """

    summary: str
    open: Callable[[SourceContext], Source]
    formats: Mapping[What, str | None]
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: SourceSettings = field(default_factory=SourceSettings)
    needs_key: bool = False
    needs_symbols: bool = True
    streams: frozenset[What] = frozenset()

    def taken(self, what: What, interval: str | None = None) -> tuple[str, ...]:
        """What a request for this kind of data may set."""
        return self.takes.get(f"{what} of {interval}", self.takes.get(what, ()))

    def ensure_takes(self, vendor: str, request: SourceRequest) -> None:
        """Refuse a request that the source does not support; every `fetch` begins with it.

        Args:
            vendor: Name for sentences.
            request: What is asked for.

        Raises:
            RequestError: The source has no such data, or does not take what the request sets.
        """
        what = request.what
        if what not in self.formats:
            raise RequestError(
                f"{vendor} has no {what}; it has {', '.join(self.formats)}. Nothing was fetched."
            )
        taken = self.taken(what, request.interval)
        bounds = {"bar": request.interval, "start": request.start, "end": request.end}
        wrong = [name for name, value in bounds.items() if value is not None and name not in taken]
        options = set(taken) - bounds.keys()
        wrong += [f"option {name!r}" for name in request.options if name not in options]
        if wrong:
            raise RequestError(
                f"{vendor} takes no {wrong[0]} for {what}"
                f"{f' of {request.interval}' if what == 'bars' and request.interval else ''}; it"
                f" takes {', '.join(taken) or 'symbols only'}. Nothing was fetched."
            )
        if request.end and not request.start:
            raise RequestError(f"{vendor} takes an end with a start only. Nothing was fetched.")


def each_symbol(
    request: SourceRequest, context: SourceContext, fetch: Callable[[str], Iterator[Message]]
) -> Iterator[Message]:
    """Fetch one symbol after the other; a symbol that fails is reported and left out."""
    for symbol in request.symbols:
        if context.stop.is_set():
            raise StoppedError
        try:
            yield from fetch(symbol)
        except SymbolError as error:
            context.notify(Notice("skipped", str(error), error=error))
