"""What Alpha Vantage answers; failures too come with status 200."""

from __future__ import annotations

from typing import Any

from stock_pipeline_tests.sources.vendor_server import Asked, Reply

KEY = "K3Y+OF/SOMEONE=16"

PER_SECOND = {
    "Information": "Thank you for using Alpha Vantage! Please consider spreading out your free API"
    " requests more sparingly (1 request per second). You may subscribe to any of the premium"
    " plans at https://www.alphavantage.co/premium/ to lift the free key rate limit (25 requests"
    " per day), raise the per-second burst limit, and instantly unlock all premium endpoints"
}
BURST = {"Information": "Burst pattern detected. Please consider spreading out your requests."}
PER_MINUTE = {
    "Note": "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per"
    " minute and 500 calls per day. Please visit https://www.alphavantage.co/premium/"
}
#: Echoes the key.
PER_DAY = {
    "Information": f"We have detected your API key as {KEY} and our standard API rate limit is 25"
    " requests per day. Please subscribe to any of the premium plans at"
    " https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
}
PREMIUM_ENDPOINT = {
    "Information": "Thank you for using Alpha Vantage! This is a premium endpoint. You may"
    " subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to instantly"
    " unlock all premium endpoints"
}
PREMIUM_FEATURE = {
    "Information": "Thank you for using Alpha Vantage! The outputsize=full parameter value is a"
    " premium feature for the TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium"
    " plans at https://www.alphavantage.co/premium/"
}
BAD_SYMBOL = {
    "Error Message": "Invalid API call. Please retry or visit the documentation"
    " (https://www.alphavantage.co/documentation/) for TIME_SERIES_INTRADAY."
}
BAD_KEY = {
    "Error Message": "the parameter apikey is invalid or missing. Please claim your free API key"
    " on (https://www.alphavantage.co/support/#api-key)."
}
UNKNOWN = {"Information": f"We are moving house, dear {KEY}.\nCome back later."}


def intraday(symbol: str, interval: str = "5min") -> dict[str, Any]:
    """Two bars, the newest first."""
    bar = {"1. open": "294.9800", "2. high": "295.0000", "3. low": "294.9800"}
    bar |= {"4. close": "294.9900", "5. volume": "132"}
    return {
        "Meta Data": {
            "1. Information": f"Intraday ({interval}) open, high, low, close prices and volume",
            "2. Symbol": symbol,
            "3. Last Refreshed": "2026-01-05 19:55:00",
            "4. Interval": interval,
            "5. Output Size": "Compact",
            "6. Time Zone": "US/Eastern",
        },
        f"Time Series ({interval})": {"2026-01-05 19:55:00": bar, "2026-01-05 19:50:00": bar},
    }


def daily(symbol: str, *, adjusted: bool = False) -> dict[str, Any]:
    """One day, across a split where adjusted."""
    bar = {"1. open": "200.10", "2. high": "203.00", "3. low": "199.50", "4. close": "202.00"}
    bar |= (
        {
            "5. adjusted close": "101.00",
            "6. volume": "3500000",
            "7. dividend amount": "0.0000",
            "8. split coefficient": "2.0",
        }
        if adjusted
        else {"5. volume": "3500000"}
    )
    return {
        "Meta Data": {
            "2. Symbol": symbol,
            "4. Output Size": "Compact",
            "5. Time Zone": "US/Eastern",
        },
        "Time Series (Daily)": {"2026-01-05": bar},
    }


def quote(symbol: str, suffix: str = "") -> dict[str, Any]:
    """With an entitlement the key gets a suffix."""
    return {f"Global Quote{suffix}": {"01. symbol": symbol, "05. price": "294.99"}}


def news(ticker: str) -> dict[str, Any]:
    """One article; numbers of tickers are strings."""
    sentiment = {"ticker": ticker, "relevance_score": "0.173749"}
    sentiment |= {"ticker_sentiment_score": "0.018912", "ticker_sentiment_label": "Neutral"}
    return {
        "items": "1",
        "feed": [
            {
                "title": "A title",
                "time_published": "20260105T122344",
                "overall_sentiment_score": 0.25,
                "overall_sentiment_label": "Somewhat_Bullish",
                "ticker_sentiment": [sentiment],
            }
        ],
    }


def answer(asked: Asked) -> Reply:
    """What was asked for, with the real vendor's looks."""
    params = asked.params
    function = params["function"]
    if params.get("apikey") != KEY:
        return Reply(BAD_KEY)
    symbol = params.get("symbol") or params["tickers"]
    if symbol.startswith("BAD"):
        return Reply(BAD_SYMBOL)
    if symbol.startswith("EMPTY"):
        return Reply({})
    made = {
        "TIME_SERIES_INTRADAY": lambda: intraday(symbol, params["interval"]),
        "TIME_SERIES_DAILY": lambda: daily(symbol),
        "TIME_SERIES_DAILY_ADJUSTED": lambda: daily(symbol, adjusted=True),
        "GLOBAL_QUOTE": lambda: quote(symbol),
        "NEWS_SENTIMENT": lambda: news(symbol),
    }
    return Reply(made[function]())
