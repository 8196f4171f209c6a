"""What the mutations start from: recorded shapes of every vendor, and values that break parsers."""

from __future__ import annotations

import json
from pathlib import Path

from stock_pipeline_tests.support.records import (
    ACTION,
    ARTICLE_TEXT,
    BAR,
    DIVIDEND,
    INDEX_ROW,
    TICKER,
    TRADE,
    VENDOR_BAR,
    article,
    news_document,
)

_META = {
    "1. Information": "Intraday (5min) open, high, low, close prices and volume",
    "2. Symbol": "IBM",
    "3. Last Refreshed": "2026-01-05 19:55:00",
    "4. Interval": "5min",
    "5. Output Size": "Compact",
    "6. Time Zone": "US/Eastern",
}
_DAILY_BAR = {
    "1. open": "2.0",
    "2. high": "3.0",
    "3. low": "1.0",
    "4. close": "2.5",
    "5. adjusted close": "2.4",
    "6. volume": "7",
    "7. dividend amount": "0.0000",
    "8. split coefficient": "1.0",
}

#: Messages that each format accepts.
SEEDS: dict[str, list[str]] = {
    "trade": [
        json.dumps(TRADE),
        json.dumps(TRADE | {"trade_id": "t-1", "venue": "X", "price": "1.25"}),
        json.dumps(TRADE | {"time": 1763650800123, "trade_id": 17, "note": {"a": [1, None]}}),
    ],
    "bar": [
        json.dumps(BAR),
        json.dumps(BAR | {"adjusted_close": 2.4, "vwap": 2.2, "trade_count": 3, "source": "yahoo"}),
        json.dumps(BAR | {"interval": "1d", "start": "2026-01-05"}),
        json.dumps(BAR | {"start": 1763650800, "interval": "60m"}),
    ],
    "index_daily": [
        json.dumps(INDEX_ROW),
        json.dumps({k: v for k, v in INDEX_ROW.items() if k not in {"Adj Close", "CloseUSD"}}),
    ],
    "corporate_action": [
        json.dumps(ACTION),
        json.dumps(DIVIDEND),
        json.dumps({k: v for k, v in DIVIDEND.items() if k not in {"currency", "source"}}),
    ],
    "news": [
        json.dumps(ARTICLE_TEXT),
        json.dumps(ARTICLE_TEXT | {"sentiment": "-0.5", "relevance": 0.25, "source": "wire"}),
        json.dumps({k: v for k, v in ARTICLE_TEXT.items() if k not in {"summary", "publisher"}}),
    ],
    "alpha_vantage_news": [
        news_document(
            article(TICKER, TICKER | {"ticker": "CRYPTO:BTC"}), article(url="u:2", summary=None)
        ).decode(),
        news_document(article({"ticker": "IBM"}, time_published="20261120T1500")).decode(),
    ],
    "alpha_vantage_intraday": [
        json.dumps(
            {
                "Meta Data": _META,
                "Time Series (5min)": {
                    "2026-01-05 19:55:00": VENDOR_BAR,
                    "2026-01-05 19:50:00": VENDOR_BAR,
                    "2025-07-07 09:30:00": VENDOR_BAR,
                },
            }
        ),
        json.dumps(
            {
                "Meta Data": {"2. Symbol": "IBM", "5. Time Zone": "US/Eastern"},
                "Time Series (Daily)": {"2026-01-05": _DAILY_BAR, "2026-01-02": _DAILY_BAR},
            }
        ),
    ],
}

_FOLDER = Path(__file__).parent

#: Answers of vendors that are valid for none of our formats, and records of other formats.
FOREIGN: list[str] = (_FOLDER / "foreign.txt").read_text(encoding="utf-8").splitlines()

#: JSON values as text, also such as JSON forbids: put in the place of a value.
VALUES: list[str] = [
    *(_FOLDER / "values.txt").read_text(encoding="utf-8").split("\n")[:-1],
    "1" + "0" * 400,
    "0." + "0" * 400 + "1",
    "7" * 5000,
    "[" * 300 + "]" * 300,
    "[" * 300,
    '{"a":' * 300 + "1" + "}" * 300,
    '"' + "😀" * 64 + '"',
    '"' + "s" * 1000 + '"',
    '"' + "é" * 20_000 + '"',
]

#: Pieces for keys.
KEYS: list[str] = [
    "",
    "symbol",
    "sym\\u0062ol",
    "price",
    "time",
    "Time Series (1min)",
    "Time Series",
    "Time Series (5min)\\u0000",
    "Time Series (60min) ~/x",
    "Meta Data",
    "2. Symbol",
    "infinity",
    "feed",
    "ticker_sentiment",
    "20261120T150000",
    "2026-01-05 19:55:00",
    "2026-01-05 19:55:00 ",
    "2026-01-05 24:00:00",
    "2026-03-08 02:30:00",
    "2026-03-08 03:30:00",
    "2026-01-05",
    "0000-00-00",
    "\\ud800",
    '\\"',
    "$",
    "a.b[0]",
    "*",
]
