"""A vendor's WebSocket: reconnects after growing pauses, until the user stops it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from stock_pipeline.kafka.messages import Message
from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.sources.errors import BadKeyError, RateLimitedError, UnavailableError
from stock_pipeline.sources.redaction import hide_in_logs, redacted
from stock_pipeline.sources.source import Notice, SourceContext

_logger = logging.getLogger("websockets.client")
# This logger writes parts of what is sent, perhaps a part of the key, which no filter knows. And it
# writes a traceback when a vendor answers no ping, for which we have a sentence.
_logger.setLevel(logging.CRITICAL)

#: Frames that may wait while we are busy, such as with a request for missed messages. If more wait,
#: reading pauses, and TCP slows the vendor down.
_WAITING_FRAMES = 4096
_MOST_SHOWN = 160
_LARGEST_FRAME = 16 * 1024 * 1024
#: Seconds until a silent stream notices that the user has stopped it.
_LOOK = 0.2


class Speech:
    """Tells the user about a vendor's stream, without the key.

    Args:
        context: Context of the source.
        vendor: Name for sentences.
    """

    def __init__(self, context: SourceContext, vendor: str) -> None:
        self._context, self._vendor = context, vendor
        key = context.settings.api_key
        self._key = key.get_secret_value() if key else ""
        hide_in_logs(self._key, _logger.name)

    def shown(self, said: str) -> str:
        """The vendor's text as one short line without the key."""
        return one_line(redacted(said, [self._key]))[:_MOST_SHOWN]

    def left_out(self, why: str, thing: Any) -> None:
        """Report that something which the vendor sent does not become a message."""
        shown = self.shown(json.dumps(thing))
        self.skipped(f"{self._vendor} {why}; it was left out: {shown}")

    def skipped(self, sentence: str) -> None:
        """Report that something which was asked for does not come."""
        self._context.notify(Notice("skipped", sentence))


class Stream:
    """The messages of one subscription.

    Args:
        context: Context of the source. A connection that is silent for `answer_timeout_seconds`,
            pings included, is closed.
        vendor: Name for sentences.
        url: Address; may hold the key.
        open: Called with every new connection: logs in, subscribes, yields missed messages.
        read: Called with every document that arrives.
    """

    def __init__(
        self,
        context: SourceContext,
        vendor: str,
        url: str,
        open: Callable[[ClientConnection], Iterator[Message]],  # noqa: A002
        read: Callable[[Any], Iterator[Message]],
    ) -> None:
        self._context, self._vendor, self._url = context, vendor, url
        self._open, self._read = open, read
        self._speech = Speech(context, vendor)

    def messages(self) -> Iterator[Message]:
        """All messages until the user stops the stream.

        Raises:
            SourceError: The vendor refuses us and would again.
            StoppedError: The user has stopped it during a wait.
        """
        settings, stop = self._context.settings, self._context.stop
        pause = settings.pause_seconds
        while not stop.is_set():
            wait, problem = pause, "closed the connection"
            try:
                with self._connect() as connection:
                    yield from self._open(connection)
                    for frame in _frames(connection, stop):
                        pause = wait = settings.pause_seconds
                        yield from self._parsed(frame)
            except RateLimitedError as error:
                problem, wait = str(error), error.seconds or wait
            except (OSError, EOFError, WebSocketException) as error:
                problem = self._problem(error)
            if stop.is_set():
                return
            self._context.wait(
                wait, f"{self._vendor} {problem}; a new connection follows in {wait:.0f} s."
            )
            pause = min(2 * pause, settings.longest_pause_seconds)

    def connected(self) -> ClientConnection:
        """A new connection on which nothing was sent yet.

        Raises:
            SourceError: The vendor cannot be connected to.
        """
        try:
            return self._connect()
        except (OSError, EOFError, WebSocketException) as error:
            problem = self._problem(error)
        raise UnavailableError(f"{self._vendor} {problem}.")

    def _connect(self) -> ClientConnection:
        settings = self._context.settings
        return connect(
            self._url,
            open_timeout=settings.connect_timeout_seconds,
            ping_interval=settings.answer_timeout_seconds / 3,
            ping_timeout=settings.answer_timeout_seconds / 3,
            close_timeout=1,
            max_size=_LARGEST_FRAME,
            max_queue=_WAITING_FRAMES,
            logger=_logger,
        )

    def _parsed(self, frame: str | bytes) -> Iterator[Message]:
        try:
            document = json.loads(frame)
        except ValueError:
            self._speech.skipped(f"{self._vendor} sent {len(frame):,} bytes that are not JSON.")
            return
        yield from self._read(document)

    def _problem(self, error: Exception) -> str:
        """What happened, without the URL.

        Raises:
            BadKeyError: The vendor does not accept the key.
        """
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            if status in {401, 403}:
                raise BadKeyError(
                    f"{self._vendor} answered {status}: it does not accept the key, or not for its"
                    " stream. docs/sources.md says how to get one."
                ) from None
            return f"answered {status} instead of opening a stream"
        if isinstance(error, ConnectionClosed):
            said = error.rcvd and error.rcvd.reason
            return f"closed the connection{f' ({said})' if said else ''}"
        if isinstance(error, TimeoutError):
            return "gave no answer in time"
        return f"cannot be reached ({type(error).__name__}: {self._speech.shown(str(error))})"


def _frames(connection: ClientConnection, stop: Event) -> Iterator[str | bytes]:
    while not stop.is_set():
        try:
            yield connection.recv(timeout=_LOOK)
        except TimeoutError:
            continue
