"""Batches of Kafka records for the tests of decoding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from stock_pipeline.lib.formats.arrow import RECORDS

KAFKA_TIME = datetime(2026, 11, 21)

TRADE = {"symbol": "IBM", "time": "2026-11-20T15:00:00Z", "price": 1.5, "size": 2}
BAR = {
    "symbol": "IBM",
    "start": "2026-11-20T15:00:00Z",
    "interval": "1min",
    "open": 2,
    "high": 3,
    "low": 1,
    "close": 2.5,
    "volume": 7,
}
INDEX_ROW = {
    "Index": "HSI",
    "Date": "1986-12-31",
    "Open": "2568.300049",
    "High": "2568.300049",
    "Low": "2568.300049",
    "Close": "2568.300049",
    "Adj Close": "2568.300049",
    "Volume": "0.0",
    "CloseUSD": "333.87900637",
}
VENDOR_BAR = {
    "1. open": "2.0",
    "2. high": "3.0",
    "3. low": "1.0",
    "4. close": "2.5",
    "5. volume": "7",
}
ACTION = {"symbol": "IBM", "ex_date": "2026-11-20", "kind": "split", "ratio": 2, "source": "yahoo"}
DIVIDEND = {
    "symbol": "IBM",
    "ex_date": "2026-11-09",
    "kind": "dividend",
    "amount": 1.68,
    "currency": "USD",
    "source": "yahoo",
}
ARTICLE_TEXT = {
    "symbol": "IBM",
    "time": "2026-11-20T15:00:00Z",
    "url": "https://example.org/a",
    "title": "IBM beats expectations",
    "summary": "A great quarter.",
    "publisher": "Example",
}
TICKER = {
    "ticker": "IBM",
    "relevance_score": "0.5",
    "ticker_sentiment_score": "0.25",
    "ticker_sentiment_label": "Somewhat_Bullish",
}
ARTICLE = {
    "title": "IBM beats expectations",
    "url": "https://example.org/a",
    "time_published": "20261120T150000",
    "authors": ["A. Writer"],
    "summary": "A great quarter.",
    "banner_image": None,
    "source": "Benzinga",
    "category_within_source": "News",
    "source_domain": "www.benzinga.com",
    "topics": [{"topic": "Technology", "relevance_score": "0.9"}],
    "overall_sentiment_score": 0.3,
    "overall_sentiment_label": "Somewhat-Bullish",
    "ticker_sentiment": [TICKER],
}
#: A field given this value is left out.
ABSENT = object()


def records(payloads: Sequence[bytes | None], kafka_time: datetime = KAFKA_TIME) -> pa.Table:
    """One record a payload, offsets from 0, key `k`."""
    n = len(payloads)
    return pa.table(
        [
            pa.array([0] * n, pa.int32()),
            pa.array(range(n), pa.int64()),
            pa.array([kafka_time] * n, pa.timestamp("us")),
            pa.array([b"k"] * n, pa.binary()),
            pa.array(payloads, pa.binary()),
        ],
        schema=RECORDS,
    )


def as_json(base: dict[str, Any], **changes: Any) -> bytes:
    """The message with these fields changed; ABSENT leaves one out."""
    merged = {k: v for k, v in {**base, **changes}.items() if v is not ABSENT}
    return json.dumps(merged).encode()


def document(series: Any, key: str = "Time Series (5min)", zone: str = "US/Eastern") -> bytes:
    """An Alpha Vantage document."""
    meta = {"2. Symbol": "IBM", "4. Interval": "5min", "6. Time Zone": zone}
    return json.dumps({"Meta Data": meta, key: series}).encode()


def news_document(*articles: Any) -> bytes:
    """A NEWS_SENTIMENT document of Alpha Vantage."""
    feed = {"items": str(len(articles)), "sentiment_score_definition": "x <= -0.35: Bearish; ..."}
    return json.dumps({**feed, "feed": articles}).encode()


def article(*tickers: Any, **changes: Any) -> dict[str, Any]:
    """An article of Alpha Vantage about these tickers."""
    changed = {**ARTICLE, "ticker_sentiment": list(tickers) or [TICKER], **changes}
    return {k: v for k, v in changed.items() if v is not ABSENT}


VALID: dict[str, bytes] = {
    "trade": as_json(TRADE),
    "bar": as_json(BAR),
    "index_daily": as_json(INDEX_ROW),
    "alpha_vantage_intraday": document({"2026-01-05 19:55:00": VENDOR_BAR}),
    "corporate_action": as_json(ACTION),
    "news": as_json(ARTICLE_TEXT),
    "alpha_vantage_news": news_document(ARTICLE),
}
