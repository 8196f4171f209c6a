"""Real daily prices from a package: AAPL from `hvsampledata`, as messages of `index_daily`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from stock_pipeline.errors import UsageError
from stock_pipeline.kafka.messages import Message

SYMBOL = "AAPL"
_COLUMNS = {
    "date": "Date",
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "adj_close": "Adj Close",
    "volume": "Volume",
}


class SamplePricesError(UsageError):
    """The package with the sample prices is not installed."""


def sample_prices() -> Iterator[Message]:
    """AAPL's daily bars of 2019 to 2024, in order, in US dollars.

    Raises:
        SamplePricesError: The extra `local` is not installed.
    """
    try:
        import hvsampledata
    except ModuleNotFoundError as error:
        raise SamplePricesError(
            "The sample prices are in the package hvsampledata, which is not installed; nothing"
            " was sent. Install it: pip install 'stock-pipeline[local]'"
        ) from error
    prices = hvsampledata.apple_stocks("pandas").rename(columns=_COLUMNS)
    prices = prices.assign(
        Index=SYMBOL, CloseUSD=prices["Close"], Date=prices["Date"].dt.strftime("%Y-%m-%d")
    )
    for row in prices.to_dict("records"):
        yield Message(SYMBOL.encode(), json.dumps(row).encode())
