"""Makes the JSON messages of trades, bars and corporate actions that `ingest/decode.py` reads."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from stock_pipeline.kafka.messages import Message


def trade(
    symbol: str,
    time: datetime,
    price: float,
    size: float,
    *,
    trade_id: str | None = None,
    venue: str | None = None,
) -> Message:
    """A message of the format `trade`.

    Args:
        symbol: Also the message's key.
        time: Time of the trade, aware.
        price: In the currency that the symbol is quoted in.
        size: Units; may be a fraction.
        trade_id: Id at the venue; without one, identical prints are separate trades.
        venue: Venue of the trade.
    """
    return _message(
        symbol,
        time=time.isoformat(),
        price=price,
        size=size,
        trade_id=trade_id,
        venue=venue,
    )


def bar(
    symbol: str,
    start: datetime | date,
    interval: str,
    prices: tuple[float, float, float, float],
    volume: float,
    source: str,
    *,
    adjusted_close: float | None = None,
    vwap: float | None = None,
    trade_count: int | None = None,
) -> Message:
    """A message of the format `bar`.

    Args:
        symbol: Also the message's key.
        start: Start of the bar, aware; of a daily bar its trade date.
        interval: 1m, 5m, 15m, 30m, 1h or 1d.
        prices: Open, high, low, close.
        volume: Units.
        source: Value of the column `source`.
        adjusted_close: Close, adjusted for splits and dividends.
        vwap: Volume-weighted average price.
        trade_count: Number of trades.
    """
    names = ("open", "high", "low", "close")
    return _message(
        symbol,
        start=start.isoformat(),
        interval=interval,
        **dict(zip(names, prices, strict=True)),
        volume=volume,
        adjusted_close=adjusted_close,
        vwap=vwap,
        trade_count=trade_count,
        source=source,
    )


def split(symbol: str, day: date, ratio: float, source: str) -> Message:
    """A message of the format `corporate_action`: `ratio` new shares for one, from this date on."""
    return _message(symbol, ex_date=day.isoformat(), kind="split", ratio=ratio, source=source)


def dividend(symbol: str, day: date, amount: float, currency: str | None, source: str) -> Message:
    """A message of the format `corporate_action`: a cash dividend.

    Args:
        symbol: Also the message's key.
        day: Ex-date: who buys on this date does not get the dividend.
        amount: Cash for each of today's shares, in the currency.
        currency: As the vendor writes it.
        source: The vendor.
    """
    return _message(
        symbol,
        ex_date=day.isoformat(),
        kind="dividend",
        amount=amount,
        currency=currency,
        source=source,
    )


def _message(symbol: str, **fields: Any) -> Message:
    given = {name: value for name, value in fields.items() if value is not None}
    document = json.dumps({"symbol": symbol, **given}, separators=(",", ":"), ensure_ascii=False)
    return Message(symbol.encode(), document.encode())
