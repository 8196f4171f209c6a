"""Silver: one truth per bar, corporate action and article, by event time."""

from __future__ import annotations

from functools import partial

import dagster as dg

from stock_pipeline.defs.landing.assets import landing_deps
from stock_pipeline.defs.tables.factory import table_asset
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.grains import ACTION, ARTICLE, BAR, DAILY_BAR, TRADE
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    CORPORATE_ACTIONS_TABLE,
    NEWS_TABLE,
)
from stock_pipeline.settings import Settings

INTRADAY = dg.AssetKey(["silver", "bars_intraday"])

_SAME = ("symbol", "open", "high", "low", "close", "volume")


def silver_assets(settings: Settings, clock: Clock = system_clock) -> list[dg.AssetsDefinition]:
    """The assets of the silver tables.

    Args:
        settings: Name the feeds, the sources of history and the Glue database.
        clock: Says which sessions have closed.
    """
    table = partial(table_asset, settings, clock)
    of = {
        grain.name: [
            dg.AssetKey(["bronze", name])
            for name, feed in settings.feeds.items()
            if FORMATS[feed.format].grain is grain
        ]
        for grain in (TRADE, BAR, DAILY_BAR, ACTION, ARTICLE)
    }
    text = [(k, c) for k in of["article"] for c in ("title", "summary")]
    scores = [(k, c) for k in of["article"] for c in ("ticker_sentiment", "overall_sentiment")]
    return [
        table(
            BARS_INTRADAY_TABLE,
            deps=[*of["trade"], *of["bar"], *landing_deps(settings, daily=False)],
            description=(
                "Grain: one bar of a symbol, interval, start and source; one partition a session "
                "date. Source: 1-minute bars of trades, each trade counted once however often or "
                "late it came, and vendors' bars, live and from history, of which the latest "
                "correction holds. Consumer: silver bars_daily and gold volatility_intraday."
            ),
            lineage={
                **{c: [(k, c) for k in of["bar"]] for c in _SAME},
                "bar_start": [
                    *((k, "event_time") for k in of["trade"]),
                    *((k, "bar_start") for k in of["bar"]),
                ],
            },
            warns_of_gaps=True,
        ),
        table(
            BARS_DAILY_TABLE,
            deps=[INTRADAY, *of["daily_bar"], *of["bar"], *landing_deps(settings, daily=True)],
            description=(
                "Grain: one session of a symbol and source; one partition a year. Source: vendors' "
                "daily bars, live and from history, as they were last corrected, and the roll-up "
                "of intraday bars over the regular session. Consumer: gold volatility_daily and "
                "daily_average_price."
            ),
            lineage={
                **{c: [(INTRADAY, c), *((k, c) for k in of["daily_bar"])] for c in _SAME},
                "adjusted_close": [(k, "adjusted_close") for k in of["daily_bar"]],
                "mean_price": [(INTRADAY, "mean_price")],
                "trade_count": [(INTRADAY, "trade_count")],
                "mean_close": [(INTRADAY, "close")],
            },
            warns_of_gaps=True,
        ),
        table(
            CORPORATE_ACTIONS_TABLE,
            deps=of["action"],
            description=(
                "Grain: one split or dividend of a symbol, ex-date and source; one partition a "
                "year of the ex-date. Source: what vendors told last. Consumer: gold "
                "volatility_daily, whose returns they adjust: a split that arrives today makes the "
                "years due that read it."
            ),
            lineage={
                "ex_date": [(k, "trade_date") for k in of["action"]],
                **{
                    c: [(k, c) for k in of["action"]]
                    for c in ("symbol", "kind", "source", "ratio", "amount", "currency")
                },
            },
            every_session=False,
        ),
        table(
            NEWS_TABLE,
            deps=of["article"],
            description=(
                "Grain: one article and symbol; one partition a year of the session that holds its "
                "publication. Source: vendors' news as it was last sent; text without a vendor's "
                "score is scored by VADER, and `score_from` says so. Consumer: gold "
                "sentiment_daily."
            ),
            lineage={
                "published_at": [(k, "event_time") for k in of["article"]],
                "sentiment": [*scores, *text],
                "score_from": scores,
                **{
                    c: [(k, c) for k in of["article"]]
                    for c in (
                        "symbol",
                        "url",
                        "trade_date",
                        "title",
                        "summary",
                        "publisher",
                        "relevance",
                    )
                },
            },
            every_session=False,
        ),
    ]
