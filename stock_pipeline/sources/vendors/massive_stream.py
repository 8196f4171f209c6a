"""Massive's WebSocket. After a lost connection REST fills the gap, and nothing is sent twice."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.sync.client import ClientConnection

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import BadKeyError, PremiumError, RateLimitedError, SourceError
from stock_pipeline.sources.source import SourceContext, SourceRequest
from stock_pipeline.sources.streaming import Speech, Stream
from stock_pipeline.sources.vendors.massive_rest import (
    Event,
    MassiveRest,
    bar_event,
    instant,
    trade_event,
)

_MINUTE = timedelta(minutes=1)
_BAR = ("o", "h", "l", "c", "v", "vw")
#: Seconds after its end until a bar is asked for, since our clock may be ahead of the vendor's.
_SETTLED = timedelta(seconds=5)
#: How many sent messages are remembered, to recognise those that come twice after a reconnect.
_REMEMBERED = 200_000


class MassiveStream:
    """Streams trades or minute bars.

    Args:
        context: Context of the source.
        rest: Fetches what was missed.
        request: Kind of data and symbols.
    """

    def __init__(self, context: SourceContext, rest: MassiveRest, request: SourceRequest) -> None:
        self._context, self._rest = context, rest
        self._symbols = request.symbols
        self._event = "T" if request.what == "trades" else "AM"
        key = context.settings.api_key
        self._key = key.get_secret_value() if key else ""
        self._speech = Speech(context, "Massive")
        #: By symbol: time of the last trade, or start of the last bar, that was sent.
        self._last: dict[str, datetime] = {}
        #: Used for symbols of which nothing was sent yet.
        self._before: datetime | None = None
        #: Symbols of which something may be missing between the last message and the next one.
        self._unsure: set[str] = set()
        self._sent: dict[Hashable, None] = {}

    def messages(self) -> Iterator[Message]:
        """See `Stream.messages`."""
        url = self._context.settings.stream_url or ""
        return Stream(self._context, "Massive", url, self._open, self._read).messages()

    def _open(self, connection: ClientConnection) -> Iterator[Message]:
        self._say(connection, "auth", self._key)
        while not self._logged_in(connection):
            pass
        self._say(connection, "subscribe", ",".join(f"{self._event}.{s}" for s in self._symbols))
        now = datetime.now(UTC)
        if self._before is None:
            # The bar of the minute in which we connected covers the whole minute.
            minute = now.replace(second=0, microsecond=0)
            self._before = now if self._event == "T" else minute - _MINUTE
            return
        for symbol in self._symbols:
            yield from self._missed(symbol, now if self._event == "T" else now - _MINUTE - _SETTLED)
        # REST may lag behind: the next message of each symbol shows whether more is missing.
        self._unsure = set(self._symbols)

    def _logged_in(self, connection: ClientConnection) -> bool:
        timeout = self._context.settings.connect_timeout_seconds
        events = json.loads(connection.recv(timeout=timeout))
        for event in events:
            self._judge(event)
        return any(event.get("status") == "auth_success" for event in events)

    def _say(self, connection: ClientConnection, action: str, params: str) -> None:
        connection.send(json.dumps({"action": action, "params": params}))

    def _read(self, document: Any) -> Iterator[Message]:
        for event in document if isinstance(document, list) else [document]:
            kind = event.get("ev") if isinstance(event, dict) else None
            if kind == "status":
                self._judge(event)
            elif kind != self._event:
                self._speech.left_out("sent what was not asked for", event)
            else:
                yield from self._arrived(event)

    def _arrived(self, raw: dict[str, Any]) -> Iterator[Message]:
        try:
            event = _event(raw)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._speech.left_out("sent something incomplete", raw)
            return
        if event.symbol in self._unsure:
            self._unsure.discard(event.symbol)
            yield from self._missed(event.symbol, event.time)
        yield from self._new(event)

    def _new(self, event: Event) -> Iterator[Message]:
        if event.key is not None:
            if event.key in self._sent:
                return
            self._sent[event.key] = None
            if len(self._sent) > _REMEMBERED:
                del self._sent[next(iter(self._sent))]
        self._last[event.symbol] = max(event.time, self._last.get(event.symbol, event.time))
        yield event.message

    def _missed(self, symbol: str, end: datetime) -> Iterator[Message]:
        """Trades or bars after the last one sent and before `end`, by REST."""
        start = self._last.get(symbol, self._before or end)
        if self._event == "AM":
            start += _MINUTE
        if start >= end:
            return
        try:
            found = (
                self._rest.trades(symbol, start)
                if self._event == "T"
                else self._rest.bars(symbol, "1m", start, end)
            )
            for event in found:
                yield from self._new(event)
        except SourceError as error:
            what = "trades" if self._event == "T" else "bars"
            self._speech.skipped(
                f"Massive's {what} of {symbol} from {start:%Y-%m-%d %H:%M:%S} to"
                f" {end:%H:%M:%S} UTC, when the connection was away, may be missing: {error}"
            )

    def _judge(self, event: dict[str, Any]) -> None:
        status, said = event.get("status"), self._speech.shown(str(event.get("message")))
        lower = said.lower()
        if status == "auth_failed":
            raise BadKeyError(f"Massive does not accept the key ({said}).")
        if status == "max_connections":
            raise RateLimitedError(f"has another connection of this key ({said})")
        if status == "auth_timeout":
            raise RateLimitedError(f"did not wait for the key ({said})")
        if status in {"error", "not_authorized"}:
            if "access" in lower or "authorized" in lower or "plan" in lower:
                raise PremiumError(f"Massive's plan of this key does not hold that ({said}).")
            self._speech.skipped(f"Massive says: {said}")


def _event(raw: dict[str, Any]) -> Event:
    symbol = raw["sym"]
    if raw["ev"] == "AM":
        return bar_event(symbol, "1m", instant(raw["s"]), {k: raw[k] for k in _BAR if k in raw})
    # Fractions of a share are sent as text.
    size = float(raw["ds"]) if raw.get("ds") else raw["s"]
    return trade_event(
        symbol, instant(raw["t"]), raw["p"], size, raw.get("i"), raw.get("x"), raw.get("trfi")
    )
