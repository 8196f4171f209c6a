"""VADER's sentiment of news that came without a score."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def with_vader(rows: pa.Table) -> pa.Table:
    """News with the column `vader`: VADER's score of title and summary, -1 to 1.

    Args:
        rows: NEWS of any days.

    Returns:
        The same rows; `vader` is NULL where the vendor gave a score, of the ticker or the article.
    """
    return rows.append_column("vader", _vader(rows))


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
