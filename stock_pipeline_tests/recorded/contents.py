"""What the recorded lakes hold: feeds, and the messages that were sent to their topics."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta
from typing import Any

FEEDS: dict[str, dict[str, Any]] = {
    "trades": {"format": "trade", "source": "trades", "calendar": "24/7", "partitions": 2},
    "indices": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"},
    "bars": {"format": "bar", "source": "vendor_bars", "calendar": "XNYS"},
    "news": {"format": "alpha_vantage_news", "source": "alpha_vantage", "calendar": "XNYS"},
    "actions": {"format": "corporate_action", "source": "yahoo"},
}

#: Kafka's time of the first message, milliseconds UTC; each message is a second later.
SENT_MS = 1_795_000_000_000
#: 2026-01-01 00:00 UTC in milliseconds: the first trade.
FIRST_MS = 1_767_225_600_000

#: Feed, partition and payload, in the order in which they were sent.
Sent = tuple[str, int, bytes]


def _json(**members: Any) -> bytes:
    return json.dumps(members).encode()


def trade(number: int, **changes: Any) -> bytes:
    """Trade `number` of a day with one every 20 seconds, of two symbols."""
    price = 100 + 5 * math.sin(number / 9)
    members = {
        "symbol": f"SIM-{'AB'[number % 2]}",
        "time": FIRST_MS + 20_000 * number,
        "price": round(price, 4),
        "size": 1 + number % 3,
        "trade_id": str(number),
    }
    return _json(**members | changes)


def index(number: int) -> bytes:
    """The index's day `number` of 2025."""
    close = 1000 * math.exp(0.02 * math.sin(number))
    day = date(2025, 1, 1) + timedelta(days=number)
    prices = {"Open": close * 0.99, "High": close * 1.02, "Low": close * 0.97, "Close": close}
    return _json(
        Index="IDX",
        Date=day.isoformat(),
        **prices,
        **{"Adj Close": close, "Volume": 10.0, "CloseUSD": close},
    )


def bar(start: str, close: float, interval: str) -> bytes:
    """A bar of IBM that stands at one price."""
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return _json(symbol="IBM", start=start, interval=interval, volume=10, **prices)


def news() -> bytes:
    """A vendor's document with one article about IBM."""
    about = {
        "ticker": "IBM",
        "relevance_score": "0.5",
        "ticker_sentiment_score": "0.25",
        "ticker_sentiment_label": "Somewhat-Bullish",
    }
    article = {
        "title": "IBM grows",
        "url": "https://news.example/1",
        "time_published": "20260106T140000",
        "summary": "It grows.",
        "source": "Example",
        "overall_sentiment_score": 0.25,
        "overall_sentiment_label": "Somewhat-Bullish",
        "ticker_sentiment": [about],
    }
    return _json(items="1", feed=[article])


def action() -> bytes:
    """A split of IBM."""
    return _json(symbol="IBM", ex_date="2026-01-05", kind="split", ratio=2, source="yahoo")


def batches() -> list[list[Sent]]:
    """Messages of each round; a round is ingested before the next is sent."""
    first: list[Sent] = [("trades", n % 2, trade(n)) for n in range(120)]
    first += [("trades", 1, b"{"), ("trades", 0, trade(0, price=-1)), ("trades", 0, trade(7))]
    first += [("indices", 0, index(n)) for n in range(90)]
    second: list[Sent] = [("trades", n % 2, trade(n)) for n in range(120, 200)]
    days = [date(2026, 1, 5) - timedelta(days=n) for n in range(20)]
    second += [("bars", 0, bar(day.isoformat(), 100.0, "1d")) for day in days]
    second += [("bars", 0, bar(f"2026-01-06T14:3{n}:00Z", 100.0 + n, "1m")) for n in range(4)]
    second += [("news", 0, news()), ("actions", 0, action()), ("actions", 0, b'{"symbol": "IBM"}')]
    return [first, second]
