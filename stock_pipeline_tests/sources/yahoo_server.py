"""Yahoo's chart service as `yfinance` meets it: cookie, crumb, and answers in Yahoo's own form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from yfinance.data import SingletonMeta

from stock_pipeline_tests.sources.vendor_server import Asked, Reply, VendorServer, vendor

NEW_YORK = ZoneInfo("America/New_York")
DELISTED = {
    "chart": {
        "result": None,
        "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"},
    }
}
EMPTY = {"chart": {"error": None, "result": [{"meta": {"gmtoffset": 0, "symbol": "MU"}}]}}
TOO_FAR_BACK = {
    "chart": {
        "result": None,
        "error": {
            "code": "Unprocessable Entity",
            "description": "1m data not available for startTime=1790000000 and "
            "endTime=1791000000. Only 8 days worth of 1m granularity data are allowed to be "
            "fetched per request.",
        },
    }
}

#: Open, high, low, close, volume; None where Yahoo has null.
Quote = tuple[float | None, float | None, float | None, float | None, int | None]


def chart(
    times: Sequence[int],
    quotes: Sequence[Quote],
    *,
    market_time: int,
    regular: tuple[int, int],
    granularity: str = "5m",
    adjusted: Sequence[float | None] | None = None,
    events: dict[str, Any] | None = None,
    symbol: str = "AAPL",
    price: float = 333.923,
) -> dict[str, Any]:
    """An answer with prices.

    Args:
        times: Seconds since 1970, one a bar.
        quotes: One a time.
        market_time: Of the last trade.
        regular: Where the regular session of now begins and ends.
        granularity: What was asked for.
        adjusted: Adjusted closes, of daily bars.
        events: Dividends and splits.
        symbol: In the metadata.
        price: The last one.
    """

    def period(start: int, end: int) -> dict[str, Any]:
        return {"timezone": "EDT", "start": start, "end": end, "gmtoffset": -14400}

    days: dict[object, dict[str, Any]] = {}
    for time in times:
        local = datetime.fromtimestamp(time, NEW_YORK)
        opened = local.replace(hour=9, minute=30, second=0)
        days[local.date()] = period(int(opened.timestamp()), int(opened.timestamp()) + 23_400)
    columns = [list(column) for column in zip(*quotes, strict=True)]
    names = ("open", "high", "low", "close", "volume")
    indicators: dict[str, Any] = {"quote": [dict(zip(names, columns, strict=True))]}
    if adjusted is not None:
        indicators["adjclose"] = [{"adjclose": list(adjusted)}]
    meta = {
        "currency": "USD",
        "symbol": symbol,
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "firstTradeDate": 345479400,
        "regularMarketTime": market_time,
        "gmtoffset": -14400,
        "timezone": "EDT",
        "exchangeTimezoneName": "America/New_York",
        "regularMarketPrice": price,
        "chartPreviousClose": 333.69,
        "priceHint": 2,
        "currentTradingPeriod": {
            "pre": period(regular[0] - 19_800, regular[0]),
            "regular": period(*regular),
            "post": period(regular[1], regular[1] + 14_400),
        },
        "dataGranularity": granularity,
        "range": "1d",
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
    }
    if granularity != "1d":
        meta["tradingPeriods"] = [[day] for day in days.values()]
    result = {"meta": meta, "timestamp": list(times), "indicators": indicators}
    if events:
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


@contextmanager
def yahoo_server(
    answer: Callable[[Asked], Reply], crumbs: Sequence[bytes] = ()
) -> Iterator[VendorServer]:
    """A server whose charts a test answers; yfinance knows neither cookie nor crumb yet.

    Args:
        answer: Makes the answer with prices.
        crumbs: What comes in place of the first crumbs.
    """
    waiting = list(crumbs)

    def everything(asked: Asked) -> Reply:
        if asked.path.startswith("/v8/finance/chart/"):
            return answer(asked)
        if asked.path == "/v1/test/getcrumb":
            crumb = waiting.pop(0) if waiting else b"cRuMb"
            return Reply(crumb, headers={"Content-Type": "text/plain"})
        return Reply(b"", 404, {"Set-Cookie": "A3=d; Path=/"})

    # yfinance has one session in a process.
    SingletonMeta._instances.clear()
    with vendor(everything) as running:
        yield running


def charts(*answers: Any) -> Callable[[Asked], Reply]:
    """These answers one after the other, the last for ever; questions of the zone apart."""
    waiting = list(answers)

    def answer(asked: Asked) -> Reply:
        of_zone = asked.params.get("range") == "1d" and asked.params.get("interval") == "1d"
        if of_zone and "includePrePost" not in asked.params:
            return Reply(chart([0], [(1, 1, 1, 1, 1)], market_time=0, regular=(0, 1)))
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return found if isinstance(found, Reply) else Reply(found)

    return answer
