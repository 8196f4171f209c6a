"""Silver news with a sentiment for each symbol."""

from __future__ import annotations

from stock_pipeline.lib.columns import (
    LABEL,
    OVERALL_SENTIMENT,
    PUBLISHER,
    RELEVANCE,
    SCORE,
    SOURCE,
    SUMMARY,
    SYMBOL,
    TITLE,
    TRADE_DATE,
    URL,
    Column,
)
from stock_pipeline.lib.formats.grains import ARTICLE
from stock_pipeline.lib.schemas.common import LATEST_RECORD, SILVER_SETTINGS
from stock_pipeline.lib.schemas.spec import Chart, TableSpec

_SCORES = tuple((ARTICLE, c) for c in ("ticker_sentiment", "overall_sentiment"))
_TEXT = tuple((ARTICLE, c) for c in ("title", "summary"))

NEWS_TABLE = TableSpec(
    "silver",
    "news",
    (
        SYMBOL,
        URL,
        Column("published_at", "timestamp[us]", "When the article was published, UTC.", unit="UTC"),
        TRADE_DATE,
        TITLE,
        SUMMARY,
        PUBLISHER,
        SOURCE,
        OVERALL_SENTIMENT,
        Column(
            "sentiment",
            "double",
            "What the article says of the symbol, -1 to 1: the vendor's score, else VADER's.",
            bounds=SCORE,
        ),
        Column("score_from", "string", "Whose score the sentiment is: vendor or vader."),
        RELEVANCE,
        LABEL,
        *LATEST_RECORD,
    ),
    "year",
    ("symbol", "url"),
    description=(
        "Grain: one article and symbol; one partition a year of the session that holds its "
        "publication. Source: vendors' news as it was last sent; text without a vendor's score is "
        "scored by VADER, and `score_from` says so. Consumer: gold sentiment_daily."
    ),
    settings=SILVER_SETTINGS,
    lineage={
        "published_at": ((ARTICLE, "event_time"),),
        "sentiment": (*_SCORES, *_TEXT),
        "score_from": _SCORES,
        **{
            c: ((ARTICLE, c),)
            for c in ("symbol", "url", "trade_date", "title", "summary", "publisher", "relevance")
        },
    },
    chart=Chart("published_at", "sentiment", series=("source",)),
    every_session=False,
)
