"""Gold sentiment of a day's news, beside return and volatility."""

from __future__ import annotations

from stock_pipeline.lib.columns import (
    AMOUNT,
    SCORE,
    SHARE,
    SYMBOL,
    TRADE_DATE,
    VOLATILITY,
    Column,
)
from stock_pipeline.lib.schemas.common import LOG_RETURN, REALIZED_VOLATILITY
from stock_pipeline.lib.schemas.news import NEWS_TABLE
from stock_pipeline.lib.schemas.spec import Chart, Read, TableSpec
from stock_pipeline.lib.schemas.volatility_daily import VOLATILITY_DAILY_TABLE
from stock_pipeline.lib.schemas.volatility_intraday import VOLATILITY_INTRADAY_TABLE

SENTIMENT_DAILY_TABLE = TableSpec(
    "gold",
    "sentiment_daily",
    (
        SYMBOL,
        TRADE_DATE,
        Column(
            "article_count",
            "int64",
            "Articles about the symbol in the session.",
            unit="articles",
            bounds=AMOUNT,
        ),
        Column(
            "mean_sentiment",
            "double",
            "Mean sentiment, weighted by relevance; 1 where the vendor gives none.",
            nullable=True,
            bounds=SCORE,
        ),
        Column(
            "vader_share",
            "double",
            "Share of the articles that VADER scored, for want of a vendor's score.",
            bounds=SHARE,
        ),
        LOG_RETURN,
        Column(
            "close_to_close_20",
            "double",
            "close_to_close of volatility_daily over 20 sessions.",
            nullable=True,
            unit="annualised fraction",
            bounds=VOLATILITY,
        ),
        REALIZED_VOLATILITY,
    ),
    "year",
    ("symbol", "trade_date"),
    description=(
        "Grain: one symbol and session with news; one partition a year. Number of articles, mean "
        "sentiment weighted by relevance, share that VADER scored, beside the session's log "
        "return and volatility, NULL where there is none. Source: silver news, gold "
        "volatility_daily and volatility_intraday. Consumer: Athena, dashboards, research."
    ),
    reads=(
        Read("source_table", NEWS_TABLE),
        Read("volatility_daily", VOLATILITY_DAILY_TABLE),
        # Few of a year's days have news.
        Read("volatility_intraday", VOLATILITY_INTRADAY_TABLE, days_of="trade_date"),
    ),
    settings=("precedence",),
    lineage={
        "symbol": ((NEWS_TABLE, "symbol"),),
        "trade_date": ((NEWS_TABLE, "trade_date"),),
        "article_count": ((NEWS_TABLE, "url"),),
        "mean_sentiment": ((NEWS_TABLE, "sentiment"), (NEWS_TABLE, "relevance")),
        "vader_share": ((NEWS_TABLE, "score_from"),),
        "log_return": ((VOLATILITY_DAILY_TABLE, "log_return"),),
        "close_to_close_20": ((VOLATILITY_DAILY_TABLE, "close_to_close"),),
        "realized_volatility": ((VOLATILITY_INTRADAY_TABLE, "realized_volatility"),),
    },
    chart=Chart("trade_date", "mean_sentiment"),
    days="exactly",
    every_session=False,
)
