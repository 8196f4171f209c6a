"""A Yahoo with daily bars of every symbol and weekday, the same at every question."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from stock_pipeline_tests.sources.vendor_server import Asked, Reply, VendorServer
from stock_pipeline_tests.sources.yahoo_server import EMPTY, NEW_YORK, chart, yahoo_server


def _opens(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).timestamp())


def _answer(asked: Asked) -> Reply:
    symbol = asked.path.rsplit("/", 1)[1]
    if "period1" not in asked.params:
        return Reply(chart([0], [(1, 1, 1, 1, 1)], market_time=0, regular=(0, 1)))
    start, end = int(asked.params["period1"]), int(asked.params["period2"])
    first = datetime.fromtimestamp(start, NEW_YORK).date()
    days = [first + timedelta(days=n) for n in range((end - start) // 86_400 + 2)]
    times = [at for day in days if day.weekday() < 5 and start <= (at := _opens(day)) < end]
    if not times:
        return Reply(EMPTY)
    closes = [100 + len(symbol) + 10 * math.sin(at / 1e6 + ord(symbol[0])) for at in times]
    return Reply(
        chart(
            times,
            [(close, close + 1, close - 1, close, 1000) for close in closes],
            market_time=times[-1],
            regular=(times[-1], times[-1] + 23_400),
            granularity="1d",
            adjusted=closes,
            symbol=symbol,
        )
    )


@contextmanager
def yahoo_of_days() -> Iterator[VendorServer]:
    """The server."""
    with yahoo_server(_answer) as server:
        yield server
