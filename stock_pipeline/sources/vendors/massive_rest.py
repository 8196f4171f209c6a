"""Massive's REST API: bars and trades page by page, and the errors for its refusals."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources import records
from stock_pipeline.sources.errors import (
    BadKeyError,
    BadSymbolError,
    PremiumError,
    RateLimitedError,
    UnavailableError,
)
from stock_pipeline.sources.http_client import Answer, HttpClient
from stock_pipeline.sources.source import Notice, SourceContext

#: Our name of an interval, Massive's name, and its length.
INTERVALS = {
    "1m": ("1/minute", timedelta(minutes=1)),
    "5m": ("5/minute", timedelta(minutes=5)),
    "15m": ("15/minute", timedelta(minutes=15)),
    "30m": ("30/minute", timedelta(minutes=30)),
    "1h": ("1/hour", timedelta(hours=1)),
    "1d": ("1/day", timedelta(days=1)),
}
NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = "50000"


def instant(milliseconds: float) -> datetime:
    """Milliseconds since 1970 as an aware instant."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


class Event(NamedTuple):
    """One bar or trade.

    Attributes:
        symbol: Its symbol.
        time: Start of the bar, or time of the trade.
        key: Identity; None where the vendor gives no id.
        message: The message to send.
    """

    symbol: str
    time: datetime
    key: Hashable
    message: Message


def trade_event(
    symbol: str,
    time: datetime,
    price: float,
    size: float,
    trade_id: object,
    venue: object,
    facility: object,
) -> Event:
    """A trade, identified by symbol, venue and id.

    Args:
        symbol: Its symbol.
        time: Time of the trade, aware.
        price: In dollars.
        size: Shares; may be a fraction.
        trade_id: Unique at its venue for a day.
        venue: Number of the exchange.
        facility: For trades off an exchange, the facility that reported it; each has its own ids.
    """
    name = None if venue is None else f"{venue}/{facility}" if facility else str(venue)
    known = None if trade_id is None else str(trade_id)
    message = records.trade(symbol, time, price, size, trade_id=known, venue=name)
    return Event(symbol, time, known and (symbol, name, known), message)


def bar_event(symbol: str, interval: str, start: datetime, bar: Mapping[str, Any]) -> Event:
    """A bar with `o`, `h`, `l`, `c`, `v`, and perhaps `vw` and `n`."""
    message = records.bar(
        symbol,
        start.astimezone(NEW_YORK).date() if interval == "1d" else start,
        interval,
        (bar["o"], bar["h"], bar["l"], bar["c"]),
        bar["v"],
        "massive",
        vwap=bar.get("vw"),
        trade_count=bar.get("n"),
    )
    return Event(symbol, start, (symbol, start), message)


class MassiveRest:
    """Sends the key in a header with every page, so that no URL holds it."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        key = context.settings.api_key
        bearer = f"Bearer {key.get_secret_value() if key else ''}"
        self._client = HttpClient(context, "Massive", headers={"Authorization": bearer})
        self.quotas = self._client.quotas
        self._delay_told = False

    def bars(
        self, symbol: str, interval: str, start: datetime, end: datetime, *, adjusted: bool = True
    ) -> Iterator[Event]:
        """The finished bars that begin in `[start, end)`.

        Raises:
            SourceError: The vendor gives no more; `SymbolError` if this concerns one symbol only.
            StoppedError: The user has stopped the command during a wait.
        """
        span, length = INTERVALS[interval]
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/{span}"
        path += f"/{_milliseconds(start)}/{_milliseconds(end) - 1}"
        params = {"adjusted": str(adjusted).lower(), "sort": "asc", "limit": _PAGE}
        for bar in self._pages(symbol, path, params):
            begin = instant(bar["t"])
            if begin + length <= datetime.now(UTC):
                yield bar_event(symbol, interval, begin, bar)

    def trades(self, symbol: str, start: datetime) -> Iterator[Event]:
        """The trades since `start`.

        Raises:
            SourceError: The vendor gives no more.
            StoppedError: The user has stopped the command during a wait.
        """
        params = {"timestamp.gte": f"{_milliseconds(start)}000000", "order": "asc"}
        params |= {"sort": "timestamp", "limit": _PAGE}
        for trade in self._pages(symbol, f"/v3/trades/{quote(symbol, safe='')}", params):
            yield trade_event(
                symbol,
                _EPOCH + timedelta(microseconds=trade["sip_timestamp"] // 1000),
                trade["price"],
                trade["size"],
                trade.get("id"),
                trade.get("exchange"),
                trade.get("trf_id"),
            )

    def _pages(self, symbol: str, path: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
        """The results of all pages; `results` is missing where there are none."""
        base = (self._context.settings.base_url or "").rstrip("/")
        while True:
            answer = self._client.get(base + path, params, lambda a: self._judge(a, symbol))
            yield from answer.data.get("results") or ()
            following = answer.data.get("next_url")
            if not following:
                return
            # Always on the host that we trust with the key, whatever host the answer names.
            url = urlsplit(following)
            path, params = url.path, dict(parse_qsl(url.query))
            params.pop("apiKey", None)

    def _judge(self, answer: Answer, symbol: str) -> None:
        data = answer.data if isinstance(answer.data, dict) else {}
        status = data.get("status")
        if status in {"OK", "DELAYED"}:
            if status == "DELAYED" and not self._delay_told:
                self._delay_told = True
                self._context.notify(
                    Notice("info", "Massive's data is delayed by 15 minutes with this plan.")
                )
            return
        said = self._client.redacted(str(data.get("message") or data.get("error") or status))
        if status == "NOT_AUTHORIZED":
            raise PremiumError(f"Massive's plan of this key does not hold that: {said}")
        if "maximum requests per minute" in said.lower():
            raise RateLimitedError(f"says: {said}")
        if answer.status == 401 or "api key" in said.lower():
            raise BadKeyError(f"Massive does not accept the key: {said}")
        if status == "NOT_FOUND" or answer.status == 404:
            raise BadSymbolError(f"Massive does not know {symbol}: {said}")
        raise UnavailableError(f"Massive gave no data for {symbol} ({answer.status}): {said}")


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
