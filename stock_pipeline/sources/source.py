"""What a source is: it is asked, yields messages, and says why it waits or has nothing.

A vendor is one module with a `SOURCE`, named in `registry.py`; docs/adding_a_source.md shows it.
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
from stock_pipeline.settings.local import SimulatorSettings
from stock_pipeline.settings.sources import SourceSettings, What
from stock_pipeline.sources.errors import RequestError, SourceError, SymbolError

if TYPE_CHECKING:
    from stock_pipeline.sources.quotas import Quotas


@dataclass(frozen=True)
class Request:
    """What is asked of a source; each ignores nothing: what it cannot give is a `RequestError`.

    Attributes:
        symbols: As the vendor spells them.
        what: Kind of data; a source names those that it has.
        interval: Length of a bar: 1m, 5m, 15m, 30m, 1h or 1d.
        start: First instant or day wanted, aware; None is the vendor's latest.
        end: First one not wanted any more, aware; needs a start.
        options: What only this source knows, such as `outputsize`.
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
        kind: wait: for a reason that the user should know. pause: a planned wait. skipped: what
            was asked for does not come. info: other.
        sentence: One, without secrets.
        until: When a wait ends, aware.
        error: Why something is skipped, where that was an error.
    """

    kind: Literal["wait", "pause", "skipped", "info"]
    sentence: str
    until: datetime | None = None
    error: SourceError | None = None


#: In `SourceKind.formats`: whatever format the option `format` names.
ANY_FORMAT = "any"


@dataclass(frozen=True)
class Context:
    """What a source works with.

    Attributes:
        settings: Its own, complete but for the key.
        home: Folder of local state, for quotas.
        notify: Takes what the user should see; called from the thread that fetches.
        stop: Set when the user wants an end.
        simulator: The market of the settings, for the source that simulates one.
    """

    settings: SourceSettings
    home: Path
    notify: Callable[[Notice], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    simulator: SimulatorSettings = field(default_factory=SimulatorSettings)

    def wait(self, seconds: float, reason: str, kind: Literal["wait", "pause"] = "wait") -> None:
        """Let time pass, visibly.

        Raises:
            StoppedError: The user wants an end.
        """
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        self.notify(Notice(kind, reason, until))
        if self.stop.wait(seconds):
            raise StoppedError


class Source(Protocol):
    """Gives messages. Made anew for each use, by one thread."""

    @property
    def quotas(self) -> Quotas | None:
        """Those of the key; None where nobody counts."""
        ...

    def fetch(self, request: Request) -> Iterator[Message]:
        """What was asked for, each message once, in the order of the vendor.

        A symbol that does not work is a notice, and the others go on. A stream ends when stopped.

        Raises:
            SourceError: Nothing more can be fetched; what was yielded before is good.
            StoppedError: During a wait.
        """
        ...

    def check(self) -> str:
        """Ask the vendor the cheapest question that shows whether the key works.

        Returns:
            One sentence of what works.

        Raises:
            SourceError: It does not.
        """
        ...


@dataclass(frozen=True)
class SourceKind:
    """A vendor's module as the rest sees it.

    Attributes:
        summary: A few words for lists.
        open: Makes the source.
        formats: What it has, and the message format of it: that of a feed, `ANY_FORMAT`, else None.
        takes: What a request for it may set beside symbols: `bar` (the interval), `start`, `end`,
            and names of options; by kind of data, or of bars by their length, such as `bars of 1d`.
        defaults: Settings where the user's say nothing.
        needs_key: Whether `api_key` must be set.
        needs_symbols: Whether it must be told symbols.
        streams: Those of `formats` of which one fetch gives all that will come, at its own pace.
    """

    summary: str
    open: Callable[[Context], Source]
    formats: Mapping[What, str | None]
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: SourceSettings = field(default_factory=SourceSettings)
    needs_key: bool = False
    needs_symbols: bool = True
    streams: frozenset[What] = frozenset()

    def taken(self, what: What, interval: str | None = None) -> tuple[str, ...]:
        """Those of `takes` that are about this."""
        return self.takes.get(f"{what} of {interval}", self.takes.get(what, ()))

    def ensure_takes(self, vendor: str, request: Request) -> None:
        """What every `fetch` begins with.

        Args:
            vendor: For sentences.
            request: What is asked.

        Raises:
            RequestError: The source does not have that kind, or not take what the request sets.
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
    request: Request, context: Context, fetch: Callable[[str], Iterator[Message]]
) -> Iterator[Message]:
    """Symbol after symbol; one that does not work is shown and left out."""
    for symbol in request.symbols:
        if context.stop.is_set():
            raise StoppedError
        try:
            yield from fetch(symbol)
        except SymbolError as error:
            context.notify(Notice("skipped", str(error), error=error))
