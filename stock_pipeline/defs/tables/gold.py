"""Gold: what people ask for."""

from __future__ import annotations

from functools import partial

import dagster as dg

from stock_pipeline.defs.tables.factory import table_asset
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.schemas import (
    DAILY_AVERAGE_PRICE_TABLE,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.settings import Settings

INTRADAY = dg.AssetKey(["silver", "bars_intraday"])
DAILY = dg.AssetKey(["silver", "bars_daily"])
ACTIONS = dg.AssetKey(["silver", "corporate_actions"])
NEWS = dg.AssetKey(["silver", "news"])
VOLATILITY = dg.AssetKey(["gold", "volatility_daily"])
REALIZED = dg.AssetKey(["gold", "volatility_intraday"])
_RETURNS = [
    *((DAILY, c) for c in ("close", "adjusted_close")),
    *((ACTIONS, c) for c in ("ex_date", "ratio", "amount")),
]
_PRICES = [(DAILY, c) for c in ("open", "high", "low", "close", "adjusted_close")]


def gold_assets(settings: Settings, clock: Clock = system_clock) -> list[dg.AssetsDefinition]:
    """The assets of the gold tables.

    Args:
        settings: Name the Glue database.
        clock: Says which sessions have closed.
    """
    table = partial(table_asset, settings, clock)
    return [
        table(
            VOLATILITY_DAILY_TABLE,
            deps=[DAILY, ACTIONS],
            description=(
                "Grain: one symbol, session and window; one partition a year. Annualised "
                "volatility by six estimators over full windows. Source: silver bars_daily of the "
                "year and the two before, the first source of `source_precedence`, adjusted by "
                "adjusted_close, else by the splits and dividends of silver corporate_actions; "
                "EWMA goes on from the year before. Consumer: Athena, dashboards, risk."
            ),
            lineage={
                "symbol": [(DAILY, "symbol")],
                "trade_date": [(DAILY, "trade_date")],
                **dict.fromkeys(("log_return", "close_to_close", "ewma"), _RETURNS),
                **dict.fromkeys(
                    ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang"), _PRICES
                ),
            },
        ),
        table(
            VOLATILITY_INTRADAY_TABLE,
            deps=[INTRADAY],
            description=(
                "Grain: one symbol and window of 5m, 15m, 30m, 1h or the session; one partition a "
                "session date. Realized variance, jumps and volatility. Source: 1-minute bars of "
                "silver bars_intraday inside the regular session. Consumer: Athena, dashboards, "
                "the live page."
            ),
            lineage={
                "symbol": [(INTRADAY, "symbol")],
                "window_start": [(INTRADAY, "bar_start")],
                **{
                    c: [(INTRADAY, "close")]
                    for c in (
                        "realized_variance",
                        "bipower_variation",
                        "jump_share",
                        "realized_volatility",
                    )
                },
                "high": [(INTRADAY, "high")],
                "low": [(INTRADAY, "low")],
                "vwap": [(INTRADAY, "vwap"), (INTRADAY, "volume")],
                "trade_count": [(INTRADAY, "trade_count")],
            },
        ),
        table(
            DAILY_AVERAGE_PRICE_TABLE,
            deps=[DAILY],
            description=(
                "Grain: one symbol and session; one partition a year. The mean trade price where "
                "trades exist, else the mean of intraday closes, else the daily close; `basis` "
                "says which. Source: silver bars_daily. Consumer: Athena, dashboards."
            ),
            lineage={
                "symbol": [(DAILY, "symbol")],
                "trade_date": [(DAILY, "trade_date")],
                "avg_price": [(DAILY, "mean_price"), (DAILY, "mean_close"), (DAILY, "close")],
                "observations": [(DAILY, "trade_count"), (DAILY, "bar_count")],
            },
        ),
        table(
            SENTIMENT_DAILY_TABLE,
            deps=[NEWS, VOLATILITY, REALIZED],
            description=(
                "Grain: one symbol and session with news; one partition a year. Number of "
                "articles, mean sentiment weighted by relevance, share that VADER scored, beside "
                "the session's log return and volatility, NULL where there is none. Source: silver "
                "news, gold volatility_daily and volatility_intraday. Consumer: Athena, "
                "dashboards, research."
            ),
            lineage={
                "symbol": [(NEWS, "symbol")],
                "trade_date": [(NEWS, "trade_date")],
                "article_count": [(NEWS, "url")],
                "mean_sentiment": [(NEWS, "sentiment"), (NEWS, "relevance")],
                "vader_share": [(NEWS, "score_from")],
                "log_return": [(VOLATILITY, "log_return")],
                "close_to_close_20": [(VOLATILITY, "close_to_close")],
                "realized_volatility": [(REALIZED, "realized_volatility")],
            },
            every_session=False,
        ),
    ]
