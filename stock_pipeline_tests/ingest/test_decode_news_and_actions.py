from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest

from stock_pipeline_tests.ingest.test_decode import decode, reason, row
from stock_pipeline_tests.support.records import (
    ABSENT,
    ACTION,
    ARTICLE_TEXT,
    DIVIDEND,
    TICKER,
    article,
    as_json,
    news_document,
)

NEWS = "alpha_vantage_news"


def test_a_document_gives_a_row_for_each_article_and_ticker() -> None:
    other = TICKER | {"ticker": "MSFT", "ticker_sentiment_score": "-0.1", "relevance_score": 1}
    decoded = decode(NEWS, news_document(article(TICKER, other), article(other, url="u:2")))
    assert decoded.rejects.to_pylist() == []
    rows = decoded.rows.to_pylist()
    assert [(r["url"], r["symbol"], r["ticker_sentiment"], r["relevance"]) for r in rows] == [
        ("https://example.org/a", "IBM", 0.25, 0.5),
        ("https://example.org/a", "MSFT", -0.1, 1.0),
        ("u:2", "MSFT", -0.1, 1.0),
    ]
    first = rows[0]
    assert first["event_time"] == datetime(2026, 11, 20, 15)
    assert first["trade_date"] == date(2026, 11, 20)
    assert (first["title"], first["summary"]) == ("IBM beats expectations", "A great quarter.")
    assert (first["publisher"], first["source"]) == ("Benzinga", "feed_source")
    assert first["overall_sentiment"] == 0.3
    # The vendor spells labels with both.
    assert first["label"] == "Somewhat-Bullish"
    assert {r["kafka_offset"] for r in rows} == {0}


def test_news_after_new_york_midnight_in_utc_belongs_to_the_local_date() -> None:
    payload = news_document(article(time_published="20261120T003000"))
    assert row(NEWS, payload)["trade_date"] == date(2026, 11, 19)
    assert row(NEWS, payload, calendar="24/7")["trade_date"] == date(2026, 11, 20)


def test_a_time_of_publication_may_come_without_seconds() -> None:
    found = row(NEWS, news_document(article(time_published="20261120T1501")))
    assert found["event_time"] == datetime(2026, 11, 20, 15, 1)


def test_an_article_without_scores_is_accepted_for_its_text() -> None:
    bare = {"ticker": "IBM"}
    found = row(NEWS, news_document(article(bare, overall_sentiment_score=ABSENT)))
    assert found["ticker_sentiment"] is None
    assert found["overall_sentiment"] is None
    assert found["relevance"] is None
    assert found["label"] is None


def test_what_cannot_be_read_of_a_document_is_kept_beside_its_good_rows() -> None:
    bad_ticker = TICKER | {"ticker_sentiment_score": "1.5"}
    bad_article = article(url="u:3", time_published="yesterday")
    decoded = decode(NEWS, news_document(article(TICKER, bad_ticker), bad_article, 7))
    assert len(decoded.rows) == 1
    rejects = decoded.rejects.to_pylist()
    assert [r["reason"] for r in rejects] == ["impossible_value", "unparsable_time", "wrong_type"]
    assert all(r["partial"] for r in rejects)
    assert json.loads(rejects[0]["payload"]) == {
        "url": "https://example.org/a",
        "ticker_sentiment": [bad_ticker],
    }
    assert json.loads(rejects[1]["payload"]) == bad_article
    assert rejects[2]["payload"] == b"7"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'{"feed":[]}', "missing_field"),
        (b'{"feed":null}', "missing_field"),
        (b'{"feed":{"a":1}}', "wrong_type"),
        (b'{"feed":[null]}', "wrong_type"),
        (b'{"Information":"Thank you for using Alpha Vantage!"}', "missing_field"),
        (news_document(article(ticker_sentiment=[])), "missing_field"),
        (news_document(article(ticker_sentiment=None)), "missing_field"),
        (news_document(article(ticker_sentiment="IBM")), "missing_field"),
        (news_document(article(7)), "wrong_type"),
        (news_document(article(TICKER | {"ticker": 7})), "wrong_type"),
        (news_document(article(TICKER | {"ticker": "A\x00"})), "impossible_value"),
        (news_document(article(TICKER | {"relevance_score": "1.01"})), "impossible_value"),
        (news_document(article(TICKER | {"relevance_score": "x"})), "impossible_value"),
        (news_document(article(TICKER | {"ticker_sentiment_score": "NaN"})), "impossible_value"),
        (news_document(article(TICKER | {"ticker_sentiment_score": {}})), "impossible_value"),
        (news_document(article(overall_sentiment_score=-2)), "impossible_value"),
        (news_document(article(url=ABSENT)), "missing_field"),
        (news_document(article(url=5)), "wrong_type"),
        (news_document(article(url="a b")), "impossible_value"),
        (news_document(article(url="x" * 2001)), "impossible_value"),
        (news_document(article(title=ABSENT)), "missing_field"),
        (news_document(article(title="\u200b \n")), "impossible_value"),
        (news_document(article(time_published=20261120)), "wrong_type"),
        (news_document(article(time_published="20261320T000000")), "unparsable_time"),
        (news_document(article(time_published="20261123T000000")), "impossible_value"),
        (news_document(article(time_published="19991231T000000")), "impossible_value"),
    ],
)
def test_a_document_without_a_good_row_is_one_reject(document: bytes, expected: str) -> None:
    assert reason(NEWS, document) == expected


def test_text_that_would_disturb_a_terminal_is_kept_as_spaces_and_long_text_is_cut() -> None:
    found = row(NEWS, news_document(article(title="\x1b[31mred\u202e\n", summary="s" * 5000)))
    assert found["title"] == "[31mred"
    assert found["summary"] == "s" * 4000


def test_a_split_and_a_dividend_have_what_their_kind_says() -> None:
    split = row("corporate_action", as_json(ACTION, amount=3))
    assert (split["kind"], split["ratio"], split["amount"]) == ("split", 2.0, None)
    assert (split["trade_date"], split["source"]) == (date(2026, 11, 20), "yahoo")
    paid = row("corporate_action", as_json(DIVIDEND, source=ABSENT))
    assert (paid["kind"], paid["ratio"], paid["amount"]) == ("dividend", None, 1.68)
    assert (paid["currency"], paid["source"]) == ("USD", "feed_source")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (as_json(ACTION, symbol=ABSENT), "missing_field"),
        (as_json(ACTION, kind=ABSENT), "missing_field"),
        (as_json(ACTION, kind="merger"), "impossible_value"),
        (as_json(ACTION, kind=2), "wrong_type"),
        (as_json(ACTION, ratio=ABSENT), "missing_field"),
        (as_json(ACTION, ratio=0), "impossible_value"),
        (as_json(ACTION, ratio=-2), "impossible_value"),
        (as_json(ACTION, ratio=1e7), "impossible_value"),
        (as_json(ACTION, ratio="x"), "wrong_type"),
        (as_json(ACTION, ratio=float("inf")), "impossible_value"),
        (as_json(DIVIDEND, amount=ABSENT), "missing_field"),
        (as_json(DIVIDEND, amount=0), "impossible_value"),
        (as_json(DIVIDEND, amount={}), "wrong_type"),
        (as_json(DIVIDEND, currency=7), "wrong_type"),
        (as_json(ACTION, ex_date="soon"), "unparsable_time"),
        (as_json(ACTION, ex_date=20261120), "wrong_type"),
        (as_json(ACTION, ex_date="1959-12-31"), "impossible_value"),
        (as_json(ACTION, ex_date="2026-11-23"), "impossible_value"),
        (as_json(ACTION, source=5), "wrong_type"),
    ],
)
def test_an_impossible_action_is_rejected_with_its_reason(payload: bytes, expected: str) -> None:
    assert reason("corporate_action", payload) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"symbol": 5}, "wrong_type"),
        ({"time": "yesterday"}, "unparsable_time"),
        ({"url": ABSENT}, "missing_field"),
        ({"url": "a\nb"}, "impossible_value"),
        ({"title": None}, "missing_field"),
        ({"title": ""}, "impossible_value"),
        ({"summary": 5}, "wrong_type"),
        ({"publisher": []}, "wrong_type"),
        ({"sentiment": 1.1}, "impossible_value"),
        ({"sentiment": "x"}, "wrong_type"),
        ({"relevance": -0.1}, "impossible_value"),
        ({"source": ""}, "impossible_value"),
    ],
)
def test_an_impossible_piece_of_news_is_rejected_with_its_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason("news", as_json(ARTICLE_TEXT, **changes)) == expected


def test_a_piece_of_news_may_bring_its_own_score_or_none() -> None:
    assert row("news", as_json(ARTICLE_TEXT))["ticker_sentiment"] is None
    found = row("news", as_json(ARTICLE_TEXT, sentiment="-0.5", relevance=0.25, source="wire"))
    assert (found["ticker_sentiment"], found["relevance"]) == (-0.5, 0.25)
    assert (found["publisher"], found["source"]) == ("Example", "wire")
