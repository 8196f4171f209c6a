"""Finnhub: trades by WebSocket.

Its trades have no ids and may be identical to the millisecond; each counts as a separate fill.
Trades that are missed while there is no connection cannot be fetched without a paid plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from websockets.sync.client import ClientConnection

from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources import records
from stock_pipeline.sources.errors import BadKeyError, PremiumError, RateLimitedError
from stock_pipeline.sources.source import SourceContext, SourceKind, SourceRequest
from stock_pipeline.sources.streaming import Speech, Stream

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Finnhub:
    """See `SOURCE`."""

    def __init__(self, context: SourceContext) -> None:
        self._context, self.quotas = context, None
        key = context.settings.api_key
        self._key = key.get_secret_value() if key else ""
        self._speech = Speech(context, "Finnhub")
        self._symbols: tuple[str, ...] = ()
        self._heard: datetime | None = None

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """See `Source.fetch`: trades from now on."""
        SOURCE.ensure_takes("Finnhub", request)
        self._symbols, self._heard = request.symbols, None
        return self._stream().messages()

    def check(self) -> str:
        """See `Source.check`."""
        with self._stream().connected():
            return "Finnhub accepts the key and opens a stream of trades."

    def _stream(self) -> Stream:
        url = f"{self._context.settings.stream_url}?token={quote(self._key, safe='')}"
        return Stream(self._context, "Finnhub", url, self._subscribe, self._read)

    def _subscribe(self, connection: ClientConnection) -> Iterator[Message]:
        for symbol in self._symbols:
            connection.send(json.dumps({"type": "subscribe", "symbol": symbol}))
        if self._heard:
            self._speech.skipped(
                f"Finnhub's trades from {self._heard:%Y-%m-%d %H:%M:%S} to"
                f" {datetime.now(UTC):%H:%M:%S} UTC did not come: the connection was away, and"
                " Finnhub does not repeat them."
            )
        self._heard = datetime.now(UTC)
        yield from ()

    def _read(self, document: Any) -> Iterator[Message]:
        self._heard = datetime.now(UTC)
        kind = document.get("type") if isinstance(document, dict) else None
        if kind == "trade":
            for trade in document.get("data") or ():
                yield from self._trade(trade)
        elif kind == "error" or (isinstance(document, dict) and "error" in document):
            self._judge(str(document.get("error") or document.get("msg")))
        elif kind != "ping":
            self._speech.left_out("sent something that is no trade", document)

    def _trade(self, trade: Any) -> Iterator[Message]:
        try:
            yield records.trade(
                trade["s"], _EPOCH + timedelta(milliseconds=trade["t"]), trade["p"], trade["v"]
            )
        except (KeyError, TypeError, OverflowError):
            self._speech.left_out("sent a trade without symbol, time, price or size", trade)

    def _judge(self, said: str) -> None:
        """The error for an error frame: some pass by themselves, others do not."""
        said = self._speech.shown(said)
        lower = said.lower()
        if "limit" in lower:
            raise RateLimitedError(f"takes no more for now ({said})")
        if "key" in lower or "token" in lower:
            raise BadKeyError(f"Finnhub does not accept the key ({said}).")
        if "access" in lower:
            raise PremiumError(f"Finnhub's plan of this key does not hold that ({said}).")
        self._speech.skipped(f"Finnhub says: {said}")


SOURCE = SourceKind(
    summary="Finnhub: trades of US stocks, forex and crypto as they happen; free key",
    open=Finnhub,
    formats={"trades": "trade"},
    defaults=SourceSettings(stream_url="wss://ws.finnhub.io"),
    needs_key=True,
    streams=frozenset({"trades"}),
)
