"""Silver: one truth per bar, corporate action and article, by event time."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.landing.assets import landing_deps
from stock_pipeline.defs.tables.factory import table_asset
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.grains import ACTION, ARTICLE, BAR, DAILY_BAR, TRADE
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    CORPORATE_ACTIONS_TABLE,
    NEWS_TABLE,
)
from stock_pipeline.settings import get_settings

INTRADAY = dg.AssetKey(["silver", "bars_intraday"])

_SETTINGS = get_settings()
_FEEDS = _SETTINGS.feeds
_OF = {
    grain.name: [
        dg.AssetKey(["bronze", name])
        for name, feed in _FEEDS.items()
        if FORMATS[feed.format].grain is grain
    ]
    for grain in (TRADE, BAR, DAILY_BAR, ACTION, ARTICLE)
}
_SAME = ("symbol", "open", "high", "low", "close", "volume")

bars_intraday = table_asset(
    BARS_INTRADAY_TABLE,
    deps=[*_OF["trade"], *_OF["bar"], *landing_deps(_SETTINGS, daily=False)],
    description=(
        "Grain: one bar of a symbol, interval, start and source; one partition a session date. "
        "Source: 1-minute bars of trades, each trade counted once however often or late it came, "
        "and vendors' bars, live and from history, of which the latest correction holds. "
        "Consumer: silver bars_daily and gold volatility_intraday."
    ),
    lineage={
        **{c: [(k, c) for k in _OF["bar"]] for c in _SAME},
        "bar_start": [
            *((k, "event_time") for k in _OF["trade"]),
            *((k, "bar_start") for k in _OF["bar"]),
        ],
    },
    warns_of_gaps=True,
)

bars_daily = table_asset(
    BARS_DAILY_TABLE,
    deps=[INTRADAY, *_OF["daily_bar"], *_OF["bar"], *landing_deps(_SETTINGS, daily=True)],
    description=(
        "Grain: one session of a symbol and source; one partition a year. Source: vendors' daily "
        "bars, live and from history, as they were last corrected, and the roll-up of intraday "
        "bars over the regular session. Consumer: gold volatility_daily and daily_average_price."
    ),
    lineage={
        **{c: [(INTRADAY, c), *((k, c) for k in _OF["daily_bar"])] for c in _SAME},
        "adjusted_close": [(k, "adjusted_close") for k in _OF["daily_bar"]],
        "mean_price": [(INTRADAY, "mean_price")],
        "trade_count": [(INTRADAY, "trade_count")],
        "mean_close": [(INTRADAY, "close")],
    },
    warns_of_gaps=True,
)

corporate_actions = table_asset(
    CORPORATE_ACTIONS_TABLE,
    deps=_OF["action"],
    description=(
        "Grain: one split or dividend of a symbol, ex-date and source; one partition a year of the "
        "ex-date. Source: what vendors told last. Consumer: gold volatility_daily, whose returns "
        "they adjust: a split that arrives today makes the years due that read it."
    ),
    lineage={
        "ex_date": [(k, "trade_date") for k in _OF["action"]],
        **{
            c: [(k, c) for k in _OF["action"]]
            for c in ("symbol", "kind", "source", "ratio", "amount", "currency")
        },
    },
    every_session=False,
)

_TEXT = [(k, c) for k in _OF["article"] for c in ("title", "summary")]
_SCORES = [(k, c) for k in _OF["article"] for c in ("ticker_sentiment", "overall_sentiment")]

news = table_asset(
    NEWS_TABLE,
    deps=_OF["article"],
    description=(
        "Grain: one article and symbol; one partition a year of the session that holds its "
        "publication. Source: vendors' news as it was last sent; text without a vendor's score is "
        "scored by VADER, and `score_from` says so. Consumer: gold sentiment_daily."
    ),
    lineage={
        "published_at": [(k, "event_time") for k in _OF["article"]],
        "sentiment": [*_SCORES, *_TEXT],
        "score_from": _SCORES,
        **{
            c: [(k, c) for k in _OF["article"]]
            for c in ("symbol", "url", "trade_date", "title", "summary", "publisher", "relevance")
        },
    },
    every_session=False,
)
