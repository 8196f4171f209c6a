"""Another reading of a payload, by Python's own parser: what an accepted record must agree with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

#: Column of a bronze table -> member of the message.
NUMBERS: dict[str, dict[str, str]] = {
    "trade": {"price": "price", "size": "size"},
    "bar": {name: name for name in ("open", "high", "low", "close", "volume")},
    "index_daily": {
        "open": "Open",
        "high": "High",
        "low": "Low",
        "close": "Close",
        "volume": "Volume",
    },
    "corporate_action": {"ratio": "ratio", "amount": "amount"},
    "news": {"ticker_sentiment": "sentiment", "relevance": "relevance"},
}
SYMBOLS = {
    "trade": "symbol",
    "bar": "symbol",
    "index_daily": "Index",
    "corporate_action": "symbol",
    "news": "symbol",
}

#: What DuckDB reads although JSON forbids it: a comma before a closing bracket, and numbers that
#: are none in small letters. Strings come first, so that nothing in them is changed.
_LENIENT = re.compile(
    r'("(?:[^"\\]|\\.)*")|(,)(?=\s*[}\]])|(-?\b(?:nan|inf(?:inity)?)\b)', re.IGNORECASE
)


class TooDeepError(Exception):
    """This reading cannot judge the payload."""


def read(payload: bytes) -> dict[str, Any]:
    """The document with the first of repeated members, as the decoders take them.

    Raises:
        TooDeepError: Python's parser does not reach the bottom.
        ValueError: Not JSON, even where DuckDB is lenient.
    """
    text = payload.decode("utf-8")
    try:
        found = _parsed(text)
    except ValueError:
        found = _parsed(_LENIENT.sub(_strict, text))
    except RecursionError:
        raise TooDeepError from None
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 - the payload's fault, not the caller's
    return found


def _strict(found: re.Match[str]) -> str:
    return found[1] or ("" if found[2] else "NaN")


def _parsed(text: str) -> Any:
    # Integers as floats: Python refuses integers of thousands of digits.
    return json.loads(text, object_pairs_hook=_first, parse_int=float)


def bars_in(payload: bytes) -> int:
    """How many bars a vendor's document holds, over all of its time series."""
    found = read(payload)
    series: list[Any] = [v for k, v in found.items() if k.startswith("Time Series")]
    return sum(len(s) for s in series if isinstance(s, dict))


def news_rows_in(payload: bytes) -> tuple[int, int]:
    """How many rows a vendor's news holds at least and at most: a bad article is one of them."""
    found = read(payload).get("feed")
    articles: list[Any] = found if isinstance(found, list) else []
    tickers = [
        len(named) if isinstance(named, list) else 0
        for named in (a.get("ticker_sentiment") if isinstance(a, dict) else None for a in articles)
    ]
    return len(articles), sum(max(1, count) for count in tickers)


def _first(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found
