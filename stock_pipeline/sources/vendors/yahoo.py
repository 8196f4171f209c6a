"""Yahoo Finance by `yfinance`: bars within Yahoo's windows, last prices, splits and dividends.

Unofficial and without a key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources import records
from stock_pipeline.sources.errors import EmptyError, RequestError
from stock_pipeline.sources.source import (
    Notice,
    SourceContext,
    SourceKind,
    SourceRequest,
    each_symbol,
)
from stock_pipeline.sources.vendors.only_new import OnlyNew
from stock_pipeline.sources.vendors.yahoo_client import Prices, YahooClient


@dataclass(frozen=True)
class _Bars:
    """Bars of one interval: length, how much one answer holds, how far back they reach."""

    length: timedelta
    request: timedelta
    back: timedelta | None


_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_INTERVALS = {
    "1m": _Bars(_MINUTE, 7 * _DAY, 29 * _DAY),
    "5m": _Bars(5 * _MINUTE, 60 * _DAY, 60 * _DAY),
    "15m": _Bars(15 * _MINUTE, 60 * _DAY, 60 * _DAY),
    "30m": _Bars(30 * _MINUTE, 60 * _DAY, 60 * _DAY),
    "1h": _Bars(60 * _MINUTE, 730 * _DAY, 730 * _DAY),
    "1d": _Bars(_DAY, 36_500 * _DAY, None),
}
#: Yahoo sends prices as 32-bit floats, which hold seven digits. Further digits are noise.
_FLOAT32_DIGITS = 7
_PRICE_DIGITS = 5


class Yahoo:
    """See `SOURCE`."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._client = YahooClient(context)
        self.quotas = self._client.quotas
        self._only_new = OnlyNew()

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """See `Source.fetch`; option of bars: prepost (true or false)."""
        SOURCE.ensure_takes("Yahoo", request)
        if request.what == "quote":
            return each_symbol(request, self._context, self._quote)
        windows = self._windows(request)
        if request.what == "actions":
            return each_symbol(request, self._context, lambda s: self._actions(s, windows))
        prepost = request.flag("prepost")
        interval = request.interval or "1d"
        return each_symbol(
            request, self._context, lambda s: self._bars(s, interval, windows, prepost)
        )

    def check(self) -> str:
        """See `Source.check`."""
        frame, _ = self._client.prices("AAPL", "1d", {"period": "5d"})
        return f"Yahoo answers without a key: AAPL has a bar of {frame.index[-1]:%Y-%m-%d}."

    def _windows(self, request: SourceRequest) -> list[Mapping[str, Any]]:
        """The windows to ask yfinance for, one request each."""
        interval = request.interval or "1d"
        bars = _INTERVALS.get(interval)
        if bars is None:
            raise RequestError(
                f"Yahoo's bars of {interval} fit no feed; nothing was fetched. Choose one of"
                f" {', '.join(_INTERVALS)}."
            )
        now = datetime.now(UTC)
        start, end = request.start, min(request.end or now, now)
        if start is None:
            return [{"period": "5d" if interval == "1d" else "1d"}]
        # Yahoo refuses the very first instant that it has: it is too old when the request arrives.
        earliest = now - bars.back + 5 * _MINUTE if bars.back else start
        if end <= max(start, earliest):
            since = f"begin {earliest:%Y-%m-%d %H:%M} UTC" if bars.back else "need a start before"
            raise RequestError(
                f"Yahoo's bars of {interval} {since}; there is nothing from"
                f" {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC. Ask for a longer interval"
                " or later bars."
            )
        if start < earliest:
            self._context.notify(
                Notice(
                    "skipped",
                    f"Yahoo keeps bars of {interval} for {(bars.back or _DAY).days} days: those"
                    f" before {earliest:%Y-%m-%d %H:%M} UTC do not come.",
                )
            )
            start = earliest
        windows: list[Mapping[str, Any]] = []
        while start < end:
            midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
            stop = min(midnight + bars.request, end)
            windows.append({"start": start, "end": stop})
            start = stop
        return windows

    def _bars(
        self, symbol: str, interval: str, windows: list[Mapping[str, Any]], prepost: bool
    ) -> Iterator[Message]:
        found, last = False, None
        for window in windows:
            try:
                prices = self._client.prices(symbol, interval, window, prepost=prepost)
            except EmptyError:
                # One window of several may have no trading; if all are empty, that is told below.
                continue
            messages = list(_bar_messages(symbol, interval, prices))
            if "period" in window:
                found = bool(messages)
                messages = self._only_new.of((symbol, interval, prepost), messages)
            for message in messages:
                # Neighbouring windows may share a bar.
                if message != last:
                    yield message
                last, found = message, True
        if not found:
            raise EmptyError(f"Yahoo has no bars of {interval} for {symbol} in this time.")

    def _quote(self, symbol: str) -> Iterator[Message]:
        _, meta = self._client.prices(symbol, "1d", {"period": "1d"})
        at, price = meta.get("regularMarketTime"), meta.get("regularMarketPrice")
        if at is None or not price:
            raise EmptyError(f"Yahoo has no price of {symbol} now.")
        yield records.trade(
            symbol,
            at.tz_convert("UTC").to_pydatetime(),
            _rounded(price, meta),
            0,
            # The same quote in a later round is the same trade, with the same id.
            trade_id=f"quote-{at.timestamp():.0f}",
            venue=meta.get("exchangeName"),
        )

    def _actions(self, symbol: str, windows: list[Mapping[str, Any]]) -> Iterator[Message]:
        for window in windows:
            frame, meta = self._client.prices(symbol, "1d", window)
            for start, dividend, split in zip(
                frame.index, frame["Dividends"], frame["Stock Splits"], strict=True
            ):
                day = start.date()
                if dividend:
                    currency = meta.get("currency")
                    yield records.dividend(symbol, day, float(dividend), currency, "yahoo")
                if split:
                    yield records.split(symbol, day, float(split), "yahoo")


def _bar_messages(symbol: str, interval: str, prices: Prices) -> Iterator[Message]:
    """The complete bars, without the current price that Yahoo appends and without empty ones."""
    frame, meta = prices
    now = datetime.now(UTC)
    length = _INTERVALS[interval].length
    last_trade = meta.get("regularMarketTime")
    # Funds have no session; their day ends with the date.
    session = (meta.get("currentTradingPeriod") or {}).get("regular") or {}
    closing = session.get("end")
    today = (closing or now.astimezone(frame.index[0].tzinfo)).date()
    columns = ["Open", "High", "Low", "Close", "Adj Close", "Volume"]
    for start, (*ohlc, adjusted, volume) in zip(
        frame.index, frame[columns].itertuples(index=False), strict=True
    ):
        if any(pd.isna(price) for price in ohlc):
            continue
        if interval == "1d":
            complete = start.date() < today or (closing is not None and now >= closing)
            live = False
        else:
            complete = start + length <= now
            flat = volume == 0 and len(set(ohlc)) == 1
            live = start.second != 0 or (
                flat and last_trade is not None and start <= last_trade < start + length
            )
        if not complete or live:
            continue
        opening, high, low, close = (_rounded(price, meta) for price in ohlc)
        yield records.bar(
            symbol,
            start.date() if interval == "1d" else start.tz_convert("UTC").to_pydatetime(),
            interval,
            (opening, high, low, close),
            int(volume),
            "yahoo",
            adjusted_close=(
                _rounded(adjusted, meta, _FLOAT32_DIGITS)
                if interval == "1d" and not pd.isna(adjusted)
                else None
            ),
        )


def _rounded(price: float, meta: Mapping[str, Any], digits: int = _PRICE_DIGITS) -> float:
    """The price rounded to the decimals that the vendor shows; small prices keep more.

    Old prices that were divided by later splits keep `digits` significant digits.
    """
    if price == 0 or not math.isfinite(price):
        return float(price)
    decimals = max(int(meta.get("priceHint") or 2), digits - 1 - math.floor(math.log10(abs(price))))
    return round(float(price), decimals)


SOURCE = SourceKind(
    summary="Yahoo Finance: bars, last prices, splits and dividends; no key",
    open=Yahoo,
    formats={"bars": "bar", "quote": "trade", "actions": "corporate_action"},
    takes={"bars": ("bar", "start", "end", "prepost"), "actions": ("start", "end")},
    defaults=SourceSettings(requests_per_second=2),
)
