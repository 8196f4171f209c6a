"""News and corporate actions from their topics to numbers in gold that are worked out by hand."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta

import pytest

from stock_pipeline.catalogue.query import query
from stock_pipeline.lib.schemas import SENTIMENT_DAILY_TABLE, VOLATILITY_DAILY_TABLE
from stock_pipeline.tables.due import key_of
from stock_pipeline.verify.report import Kind
from stock_pipeline.verify.run import Scope, verify
from stock_pipeline_tests.support.records import ABSENT, ACTION, TICKER, article, news_document
from stock_pipeline_tests.support.sample_data import refresh_until_nothing_is_due
from stock_pipeline_tests.support.trades import ingest_all

FEEDS = {
    "news": {"format": "alpha_vantage_news", "source": "alpha_vantage", "calendar": "XNYS"},
    "bars": {"format": "bar", "source": "vendor_bars", "calendar": "XNYS"},
    "actions": {"format": "corporate_action", "source": "yahoo"},
}


def about(symbol, relevance, score):
    scores = {"relevance_score": str(relevance), "ticker_sentiment_score": str(score)}
    return TICKER | scores | {"ticker": symbol}


def bar(start, close, interval):
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return json.dumps(
        {"symbol": "IBM", "start": start, "interval": interval, "volume": 10} | prices
    ).encode()


def test_a_news_document_becomes_the_mean_sentiment_of_a_session(
    settings_for, lake, broker, produce
):
    settings = settings_for(FEEDS)
    # 09:00 and 22:30 in New York of 6 January, and the day after.
    first = article(about("IBM", 0.5, 0.25), about("MSFT", 0.1, -0.2))
    first |= {"url": "u:1", "time_published": "20260106T140000"}
    second = article(about("IBM", 0.25, 1.0), url="u:2", time_published="20260107T033000")
    unscored = article(
        {"ticker": "IBM"},
        url="u:3",
        time_published="20260107T150000",
        title="IBM is great!",
        summary=ABSENT,
        overall_sentiment_score=ABSENT,
    )
    produce(settings.feeds["news"].topic, [news_document(first, second, unscored), b"{"])
    # The vendor's score of the second article changes.
    again = article(about("IBM", 0.25, -0.35), url="u:2", time_published="20260107T033000")
    produce(settings.feeds["news"].topic, [news_document(again)])
    # 20 returns up to 6 January: 19 of zero and one of 10 %.
    days = [date(2026, 1, 5) - timedelta(days=n) for n in range(20)]
    daily = [bar(day.isoformat(), 100.0, "1d") for day in days]
    daily.append(bar("2026-01-06", 110.0, "1d"))
    minutes = [
        bar(f"2026-01-06T14:3{n}:00Z", close, "1m") for n, close in enumerate((100, 101, 102))
    ]
    produce(settings.feeds["bars"].topic, [*daily, *minutes])
    ingested = [d.commit.decision for d in ingest_all(settings, "news")]
    assert (sum(d.rows for d in ingested), sum(d.rejects for d in ingested)) == (5, 1)
    ingest_all(settings, "bars")
    refresh_until_nothing_is_due()

    found = query(settings, lake, "SELECT * FROM gold.sentiment_daily ORDER BY symbol, trade_date")
    sixth, seventh, other = found.to_pylist()
    assert (sixth["symbol"], sixth["trade_date"]) == ("IBM", date(2026, 1, 6))
    assert sixth["article_count"] == 2
    assert sixth["mean_sentiment"] == pytest.approx((0.5 * 0.25 - 0.25 * 0.35) / 0.75)
    assert sixth["vader_share"] == 0
    assert sixth["log_return"] == pytest.approx(math.log(1.1))
    assert sixth["close_to_close_20"] == pytest.approx(math.log(1.1) / math.sqrt(20) * 252**0.5)
    variance = math.log(1.01) ** 2 + math.log(102 / 101) ** 2
    assert sixth["realized_volatility"] == pytest.approx(math.sqrt(252 * variance))
    # VADER: "great" has 3.1, the exclamation mark adds 0.292, and x / sqrt(x^2 + 15).
    assert (seventh["article_count"], seventh["vader_share"]) == (1, 1.0)
    assert seventh["mean_sentiment"] == pytest.approx(3.392 / math.sqrt(3.392**2 + 15), abs=5e-5)
    assert seventh["log_return"] is None
    assert (other["symbol"], other["mean_sentiment"]) == ("MSFT", pytest.approx(-0.2))
    texts = query(settings, lake, "SELECT url, score_from FROM silver.news ORDER BY symbol, url")
    assert [tuple(row.values()) for row in texts.to_pylist()] == [
        ("u:1", "vendor"),
        ("u:2", "vendor"),
        ("u:3", "vader"),
        ("u:1", "vendor"),
    ]
    report = verify(settings, lake, Scope(athena=False), lambda *_: None)
    tables = {Kind.STALE_SILVER, Kind.WRONG_SILVER, Kind.STALE_GOLD, Kind.WRONG_GOLD}
    assert [f for f in report.findings if f.kind in tables | {Kind.WRONG_COUNT}] == []


def test_a_split_that_arrives_today_makes_the_years_anew_that_read_it(
    settings_for, lake, broker, produce
):
    settings = settings_for(FEEDS, volatility={"windows": [2]})
    # Two for one on 4 March 2024: 102 becomes 51.
    closes = {"2022-12-29": 98, "2022-12-30": 99, "2023-12-29": 100}
    closes |= {"2024-03-01": 102, "2024-03-04": 51, "2024-03-05": 52, "2025-01-02": 53}
    produce(settings.feeds["bars"].topic, [bar(d, c, "1d") for d, c in closes.items()])
    ingest_all(settings, "bars")
    refresh_until_nothing_is_due()

    def gold():
        keys = [key_of(VOLATILITY_DAILY_TABLE, str(year)) for year in (2022, 2023, 2024, 2025)]
        tables = [lake.read_table(key) for key in keys]
        rows = [row for table, _ in tables for row in table.to_pylist()]
        return {r["trade_date"].isoformat(): r for r in rows}, [etag for _, etag in tables]

    wild, before = gold()
    assert wild["2024-03-04"]["log_return"] == pytest.approx(math.log(0.5))
    assert wild["2024-03-05"]["close_to_close"] > 5

    split = ACTION | {"ex_date": "2024-03-04"}
    produce(settings.feeds["actions"].topic, [json.dumps(split).encode()])
    ingest_all(settings, "actions")
    refresh_until_nothing_is_due()
    right, after = gold()
    assert right["2024-03-04"]["log_return"] == pytest.approx(0, abs=1e-15)
    assert right["2024-03-05"]["log_return"] == pytest.approx(math.log(52 / 51))
    assert right["2024-03-05"]["close_to_close"] == pytest.approx(
        math.log(52 / 51) / math.sqrt(2) * 252**0.5
    )
    assert right["2025-01-02"]["log_return"] == pytest.approx(math.log(53 / 52))
    # EWMA goes on from the year before, without the jump.
    assert right["2025-01-02"]["ewma"] < 0.2 < wild["2025-01-02"]["ewma"]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, False]
    assert lake.head(key_of(SENTIMENT_DAILY_TABLE, "2024")) is None
