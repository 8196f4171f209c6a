"""Massive (formerly Polygon): bars by REST; trades and minute bars as they happen by WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from stock_pipeline.settings_sources import SourceSettings
from stock_pipeline.sources.massive_rest import INTERVALS, MassiveRest
from stock_pipeline.sources.massive_stream import MassiveStream
from stock_pipeline.sources.messages import Message
from stock_pipeline.sources.polling import OnlyNew
from stock_pipeline.sources.source import (
    Context,
    EmptyError,
    Request,
    SourceKind,
    UsageError,
    each_symbol,
)


class Massive:
    """See `SOURCE`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rest = MassiveRest(context)
        self.quotas = self._rest.quotas
        self._only_new = OnlyNew()

    def fetch(self, request: Request) -> Iterator[Message]:
        """See `Source.fetch`.

        Trades come as they happen. Bars are asked for, or come as they end with the option
        stream=true, which has those of a minute only. Option adjusted: true (for splits) or false.
        """
        options = dict(request.options)
        live = options.pop("stream", "false") == "true" or request.what == "trades"
        adjusted = options.pop("adjusted", "true") == "true"
        if options or request.what not in SOURCE.formats:
            wrong = ", ".join(options) or request.what
            raise UsageError(
                f"Massive has no {wrong}; nothing was fetched. It has trades and bars, and the"
                " options stream and adjusted."
            )
        interval = request.interval or ("1m" if live else "1d")
        if interval not in INTERVALS or (live and (interval != "1m" or request.start)):
            raise UsageError(
                f"Massive has bars of {', '.join(INTERVALS)}; streams have trades and bars of 1m"
                " from now on; nothing was fetched."
            )
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
        self, symbol: str, interval: str, request: Request, adjusted: bool
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
    defaults=SourceSettings(
        base_url="https://api.massive.com",
        stream_url="wss://socket.massive.com/stocks",
        requests_per_minute=5,
    ),
    needs_key=True,
    streams=frozenset({"trades"}),
)
