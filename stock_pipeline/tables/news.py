"""Silver news and corporate actions from bronze rows: pure functions, Arrow in, Arrow out."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.schemas import SILVER_CORPORATE_ACTIONS, SILVER_NEWS
from stock_pipeline.lib.sql_files import render, run


def silver_news(rows: pa.Table) -> pa.Table:
    """Articles, one per (symbol, url); the latest record wins.

    The sentiment is the vendor's for the ticker, else the vendor's for the article, else VADER's
    for title and summary.

    Args:
        rows: NEWS of any days.

    Returns:
        SILVER_NEWS.
    """
    scored = rows.append_column("vader", _vader(rows))
    return run(render("news", news="news"), {"news": scored}, SILVER_NEWS)


def silver_actions(rows: pa.Table) -> pa.Table:
    """Splits and dividends, one per (symbol, ex-date, kind, source); the latest record wins.

    Args:
        rows: CORPORATE_ACTIONS of any days.

    Returns:
        SILVER_CORPORATE_ACTIONS.
    """
    query = render("corporate_actions", actions="actions")
    return run(query, {"actions": rows}, SILVER_CORPORATE_ACTIONS)


def text_score(title: str, summary: str | None) -> float:
    """VADER's compound score of a text, -1 to 1."""
    text = f"{title}. {summary}" if summary else title
    return float(_analyzer().polarity_scores(text)["compound"])


def _vader(rows: pa.Table) -> pa.Array:
    """Scores of the rows that the vendor gave none; NULL for the others."""
    unscored = pc.and_(
        pc.is_null(rows["ticker_sentiment"]), pc.is_null(rows["overall_sentiment"])
    ).to_pylist()
    known: dict[tuple[str, str | None], float] = {}
    scores: list[float | None] = []
    for missing, title, summary in zip(
        unscored, rows["title"].to_pylist(), rows["summary"].to_pylist(), strict=True
    ):
        if missing and (title, summary) not in known:
            known[title, summary] = text_score(title, summary)
        scores.append(known[title, summary] if missing else None)
    return pa.array(scores, pa.float64())


@cache
def _analyzer() -> Any:
    # Reads its lexicon from the package when first asked for.
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
