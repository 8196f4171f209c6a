"""News and actions of a year, made anew piece by piece."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import NEWS_TABLE
from stock_pipeline.tables import silver_tables
from stock_pipeline.tables.news import with_vader
from stock_pipeline.tables.publish import TableBuilder
from stock_pipeline_tests.support.decided import decide

FEEDS = {"news": {"format": "alpha_vantage_news", "source": "alpha_vantage", "calendar": "24/7"}}
BATCHES, ARTICLES = 6, 10


def document(batch: int) -> list[dict[str, object]]:
    """The same articles again, with another score."""
    published = [datetime(2024, 6, 3) + timedelta(days=n) for n in range(ARTICLES)]
    return [
        {
            "symbol": "IBM",
            "event_time": at,
            "url": f"u:{n}",
            "title": "IBM",
            "ticker_sentiment": batch / 10,
            "source": "alpha_vantage",
            "trade_date": at.date(),
        }
        for n, at in enumerate(published)
    ]


@pytest.mark.parametrize(
    ("most", "pieces"),
    [(1_000, [60]), (25, [20, 20, 20]), (20, [20, 20, 20]), (1, [10] * 6)],
)
def test_a_year_that_came_again_and_again_is_made_anew_in_bounded_pieces(
    settings_for, ministack_endpoint, monkeypatch, most, pieces
):
    settings = settings_for(FEEDS)
    lake, looked_at = Lake(settings.aws), []
    for batch in range(BATCHES):
        decide(lake, "news", "alpha_vantage_news", batch, document(batch))

    def counted(rows):
        looked_at.append(rows.num_rows)
        return with_vader(rows)

    monkeypatch.setattr(silver_tables, "PIECE_ROWS", most, raising=False)
    monkeypatch.setitem(silver_tables._PREPARED, NEWS_TABLE.name, counted)
    built = TableBuilder(settings, lake, "run").build(NEWS_TABLE, "2024", full=True)
    assert looked_at == pieces
    assert built.content["url"].to_pylist() == [f"u:{n}" for n in range(ARTICLES)]
    assert set(built.content["sentiment"].to_pylist()) == {0.5}
