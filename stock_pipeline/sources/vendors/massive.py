"""Massive (formerly Polygon): bars by REST; trades and minute bars as they happen by WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources.errors import EmptyError, RequestError
from stock_pipeline.sources.source import SourceContext, SourceKind, SourceRequest, each_symbol
from stock_pipeline.sources.vendors.massive_rest import INTERVALS, MassiveRest
from stock_pipeline.sources.vendors.massive_stream import MassiveStream
from stock_pipeline.sources.vendors.only_new import OnlyNew


class Massive:
    """See `SOURCE`."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._rest = MassiveRest(context)
        self.quotas = self._rest.quotas
        self._only_new = OnlyNew()

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """See `Source.fetch`.

        Trades are streamed. Bars are fetched by REST; with the option stream=true, minute bars are
        streamed when they end. Option adjusted: true (for splits) or false.
        """
        SOURCE.ensure_takes("Massive", request)
        live = request.flag("stream") or request.what == "trades"
        adjusted = request.flag("adjusted", default=True)
        interval = request.interval or ("1m" if live else "1d")
        if live and (interval != "1m" or request.start or "adjusted" in request.options):
            raise RequestError(
                "Massive streams bars of 1m from now on, not adjusted: leave out start, end and"
                " option adjusted; nothing was fetched."
            )
        if interval not in INTERVALS:
            raise RequestError(f"Massive has bars of {', '.join(INTERVALS)}; nothing was fetched.")
        if live:
            return MassiveStream(self._context, self._rest, request).messages()
        return each_symbol(
            request, self._context, lambda s: self._bars(s, interval, request, adjusted)
        )

    def check(self) -> str:
        """See `Source.check`."""
        now = datetime.now(UTC)
        found = list(self._rest.bars("AAPL", "1d", now - timedelta(days=7), now))
        return f"Massive accepts the key and has {len(found)} daily bars of AAPL's last week."

    def _bars(
        self, symbol: str, interval: str, request: SourceRequest, adjusted: bool
    ) -> Iterator[Message]:
        end = request.end or datetime.now(UTC)
        days = 7 if interval == "1d" else 1
        start = request.start or end - timedelta(days=days)
        events = self._rest.bars(symbol, interval, start, end, adjusted=adjusted)
        bars = (event.message for event in events)
        if request.start is None:
            yield from self._only_new.of((symbol, interval, adjusted), bars)
            return
        found = False
        for bar in bars:
            found = True
            yield bar
        if not found:
            raise EmptyError(
                f"Massive has no bars of {interval} for {symbol} from {start:%Y-%m-%d %H:%M} to"
                f" {end:%Y-%m-%d %H:%M} UTC."
            )


SOURCE = SourceKind(
    summary="Massive (Polygon): US bars by REST, trades and minute bars as they happen",
    open=Massive,
    formats={"bars": "bar", "trades": "trade"},
    takes={"bars": ("bar", "start", "end", "stream", "adjusted")},
    defaults=SourceSettings(
        base_url="https://api.massive.com",
        stream_url="wss://socket.massive.com/stocks",
        requests_per_minute=5,
    ),
    needs_key=True,
    streams=frozenset({"trades"}),
)
