"""A lake of few objects, as the pipeline would have made them."""

from __future__ import annotations

import datetime
import math
import random

import pyarrow as pa

from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats.arrow import QUARANTINE, TRADES
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    CORPORATE_ACTIONS_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    NEWS_TABLE,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    TableSpec,
)
from stock_pipeline.settings import Settings
from stock_pipeline.tables import volatility
from stock_pipeline.tables.definitions import table_definitions
from stock_pipeline.tables.due import key_of
from stock_pipeline.tables.gold import state_digest
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import parquet
from stock_pipeline.tables.reads import with_partition
from stock_pipeline_tests.support import gold_tables

DAY = datetime.date(2026, 11, 20)
YEARS = (2025, 2026)
_AT = datetime.datetime(2026, 11, 20, 10)
_RECORD = {
    "incarnation": 1,
    "kafka_timestamp": _AT,
    "kafka_partition": 0,
    "kafka_offset": 1,
    "sessions_per_year": 252.0,
}


def rows_of(schema: pa.Schema, rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema)


def daily_bars(year: int, days: int = 40) -> pa.Table:
    """`days` bars of two symbols, from the first of January on."""
    random.seed(year)
    rows = []
    for symbol in ("AAA", "BBB"):
        close = 100.0
        for n in range(days):
            before, close = close, close * math.exp(random.gauss(0, 0.02))
            high, low = max(before, close) * 1.01, min(before, close) * 0.99
            prices = {"open": before, "high": high, "low": low, "close": close}
            date = datetime.date(year, 1, 1) + datetime.timedelta(days=n)
            row = {"symbol": symbol, "trade_date": date, "source": "x", "volume": 10.0}
            rows.append(row | prices | _RECORD)
    return rows_of(BARS_DAILY_TABLE.schema, rows)


def intraday_bars(minutes: int = 90) -> pa.Table:
    random.seed(1)
    opens = datetime.datetime.combine(DAY, datetime.time(14, 30))
    close, rows = 50.0, []
    for n in range(minutes):
        before, close = close, close * math.exp(random.gauss(0, 0.001))
        rows.append(
            {
                "symbol": "AAA",
                "bar_start": opens + datetime.timedelta(minutes=n),
                "interval": "1m",
                "source": "trades",
                "open": before,
                "high": max(before, close),
                "low": min(before, close),
                "close": close,
                "volume": 5.0,
                "vwap": (before + close) / 2,
                "mean_price": (before + close) / 2,
                "trade_count": 3,
                "session_open": opens,
                "session_close": opens + datetime.timedelta(hours=6.5),
            }
            | _RECORD
        )
    return rows_of(BARS_INTRADAY_TABLE.schema, rows)


def actions() -> pa.Table:
    """A dividend, and a split that the prices show; sources disagree about the dividend."""
    same = {"symbol": "AAA", "kind": "dividend", "source": "yahoo", "amount": 1.5, **_RECORD}
    paid = {"ex_date": datetime.date(2026, 1, 20)}
    rows = [same | paid, same | paid | {"source": "other", "amount": 1.6}]
    rows.append(
        same | {"ex_date": datetime.date(2026, 1, 1), "kind": "split", "ratio": 0.8, "amount": None}
    )
    return rows_of(CORPORATE_ACTIONS_TABLE.schema, rows)


def news() -> pa.Table:
    """Articles about a symbol with bars, some days of it, and one without."""
    rows = [
        {
            "symbol": symbol,
            "url": f"u:{n}",
            "published_at": _AT,
            "trade_date": day,
            "title": "A title",
            "source": "alpha_vantage",
            "sentiment": 0.1 * n - 0.4,
            "score_from": "vader" if n == 5 else "vendor",
            "relevance": None if n == 5 else 0.3 * (n % 3),
        }
        | _RECORD
        for n, day in enumerate(
            [DAY, DAY, *(datetime.date(2026, 2, 1 + day) for day in (0, 0, 1, 2, 3))]
        )
        for symbol in ("AAA", "ZZZ")
    ]
    return rows_of(NEWS_TABLE.schema, rows)


def put_batch(lake: Lake, feed: str, seq: int, day: datetime.date) -> None:
    """A bronze object of one trade and a quarantine object of one reject."""
    trade = {
        "symbol": "AAA",
        "event_time": _AT,
        "price": 1.5,
        "size": 2.0,
        "trade_date": day,
        "kafka_partition": 0,
        "kafka_offset": seq,
        "kafka_timestamp": _AT,
        "incarnation": 1,
    }
    reject = {
        "kafka_partition": 0,
        "kafka_offset": seq,
        "kafka_timestamp": _AT,
        "reason": "not_json",
        "detail": "No JSON.",
        "partial": False,
        "incarnation": 1,
        "payload": b"{",
    }
    lake.put(layout.bronze_key(feed, seq, day), parquet(rows_of(TRADES, [trade]), MadeFrom()))
    key = layout.quarantine_key(feed, seq, day)
    lake.put(key, parquet(rows_of(QUARANTINE, [reject]), MadeFrom()))


def put(lake: Lake, table: TableSpec, partition: str, rows: pa.Table, made: MadeFrom) -> str:
    rows = rows.sort_by([(column, "ascending") for column in table.key])
    return lake.put(key_of(table, partition), parquet(rows, made))


def put_silver_and_gold(settings: Settings, lake: Lake) -> None:
    """Two years and one day of bars, actions and news of one year, and gold made from them."""
    definitions = table_definitions(settings)
    precedence, options = settings.source_precedence, settings.volatility
    bars = {year: daily_bars(year) for year in YEARS}
    etags = {}
    for year in YEARS:
        key = key_of(BARS_DAILY_TABLE, str(year))
        etags[key] = put(lake, BARS_DAILY_TABLE, str(year), bars[year], MadeFrom())
    told = key_of(CORPORATE_ACTIONS_TABLE, "2026")
    etags[told] = put(lake, CORPORATE_ACTIONS_TABLE, "2026", actions(), MadeFrom())
    state: dict[str, tuple[float | None, float]] = {}
    for year in YEARS:
        before = state_digest(state) if state else ""
        used = {k: etag for k, etag in etags.items() if layout.partition_of_key(k) <= str(year)}
        source = pa.concat_tables([bars[y] for y in YEARS if y <= year])
        rows, state = volatility.volatility_daily(
            source,
            year,
            options.windows,
            options.ewma_lambda,
            precedence,
            state,
            actions() if told in used else None,
        )
        made = MadeFrom(
            etags=used,
            state_before=before,
            state=state,
            state_digest=state_digest(state),
            definition=definitions[VOLATILITY_DAILY_TABLE.name],
        )
        volatile = put(lake, VOLATILITY_DAILY_TABLE, str(year), rows, made)
        daily = rows
        key = key_of(BARS_DAILY_TABLE, str(year))
        definition = definitions[DAILY_AVERAGE_PRICE_TABLE.name]
        made = MadeFrom(etags={key: etags[key]}, definition=definition)
        rows = gold_tables.daily_average_price(bars[year], year, precedence)
        put(lake, DAILY_AVERAGE_PRICE_TABLE, str(year), rows, made)
    day = DAY.isoformat()
    intraday = intraday_bars()
    key = key_of(BARS_INTRADAY_TABLE, day)
    etag = put(lake, BARS_INTRADAY_TABLE, day, intraday, MadeFrom())
    definition = definitions[VOLATILITY_INTRADAY_TABLE.name]
    made = MadeFrom(etags={key: etag}, definition=definition)
    rows = gold_tables.volatility_intraday(intraday, precedence)
    realized = put(lake, VOLATILITY_INTRADAY_TABLE, day, rows, made)
    keys = {
        key_of(NEWS_TABLE, "2026"): put(lake, NEWS_TABLE, "2026", news(), MadeFrom()),
        key_of(VOLATILITY_DAILY_TABLE, "2026"): volatile,
        key_of(VOLATILITY_INTRADAY_TABLE, day): realized,
    }
    intraday = with_partition(
        VOLATILITY_INTRADAY_TABLE, {key_of(VOLATILITY_INTRADAY_TABLE, day): rows}
    )
    made = MadeFrom(etags=keys, definition=definitions[SENTIMENT_DAILY_TABLE.name])
    rows = gold_tables.sentiment_daily(news(), 2026, daily, intraday)
    put(lake, SENTIMENT_DAILY_TABLE, "2026", rows, made)
