"""Massive's REST against a server in its place."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import (
    BadKeyError,
    BadSymbolError,
    PremiumError,
    RequestError,
    UnavailableError,
)
from stock_pipeline.sources.source import SourceRequest
from stock_pipeline.sources.vendors.massive import SOURCE
from stock_pipeline_tests.sources.asking import Told, context, decoded
from stock_pipeline_tests.sources.vendor_server import Asked, Reply, VendorServer, vendor

KEY = "Pq9massivesecret"
START, END = datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 4, tzinfo=UTC)
#: As documented.
BAR = {"v": 135647456, "vw": 74.6099, "o": 74.06, "c": 75.0875, "h": 75.15, "l": 73.7975}
RECORDED = {
    "ticker": "AAPL",
    "queryCount": 1,
    "resultsCount": 1,
    "adjusted": True,
    "results": [{**BAR, "t": 1577941200000, "n": 1}],
    "status": "OK",
    "request_id": "6a7e466379af0a71039d60cc78e72282",
}
NOTHING = {
    "ticker": "AAPL",
    "queryCount": 0,
    "resultsCount": 0,
    "adjusted": True,
    "status": "OK",
    "request_id": "1",
}
REFUSED = {
    "status": "NOT_AUTHORIZED",
    "request_id": "2",
    "message": "Your plan doesn't include this data timeframe. Please upgrade your plan at"
    " https://polygon.io/pricing",
}
TOO_OFTEN = {
    "status": "ERROR",
    "request_id": "3",
    "error": "You've exceeded the maximum requests per minute, please wait or upgrade your"
    " subscription to continue. https://polygon.io/pricing",
}


def bars(*starts: int, **more: Any) -> dict[str, Any]:
    """An answer with bars that begin at these milliseconds."""
    return RECORDED | {"results": [{**BAR, "t": start, "n": 1} for start in starts]} | more


def always(body: Any, status: int = 200) -> Any:
    return lambda _: Reply(body, status)


class Massive:
    """The source and what it told."""

    def __init__(self, server: VendorServer, home: Path, **settings: Any) -> None:
        self.told = Told()
        given = {"base_url": server.url, "api_key": SecretStr(KEY)} | settings
        self.context = context(home, self.told, **given)
        self.source = SOURCE.open(self.context)

    def ask(self, *symbols: str, **request: Any) -> list[Message]:
        given = {"start": START, "end": END, "interval": "1m"} | request
        return list(self.source.fetch(SourceRequest(symbols or ("AAPL",), **given)))


def starts(messages: list[Message]) -> list[int]:
    rows = decoded(messages, "bar")
    return [int(row["bar_start"].replace(tzinfo=UTC).timestamp() * 1000) for row in rows]


def test_every_page_is_asked_for_with_the_key_and_its_bars_become_rows(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        if "cursor" in asked.params:
            return Reply(bars(1577941320000))
        # The vendor has renamed itself: the host of the next page is another one.
        following = f"https://api.polygon.io{asked.path}?cursor=bGltaXQ9Mg&adjusted=true"
        return Reply(bars(1577941200000, 1577941260000, next_url=following))

    with vendor(answer) as server:
        messages = Massive(server, tmp_path).ask()
    assert starts(messages) == [1577941200000, 1577941260000, 1577941320000]
    row = decoded(messages, "bar")[0]
    expected = {
        "symbol": "AAPL",
        "bar_start": datetime(2020, 1, 2, 5, 0),
        "interval": "1m",
        "open": 74.06,
        "high": 75.15,
        "low": 73.7975,
        "close": 75.0875,
        "volume": 135647456.0,
        "vwap": 74.6099,
        "trade_count": 1,
        "source": "massive",
    }
    assert {name: row[name] for name in expected} == expected
    first, second = server.asked
    assert first.path == "/v2/aggs/ticker/AAPL/range/1/minute/1577923200000/1578095999999"
    assert first.params == {"adjusted": "true", "sort": "asc", "limit": "50000"}
    assert second.params == {"adjusted": "true", "cursor": "bGltaXQ9Mg"}
    assert [asked.headers["Authorization"] for asked in server.asked] == [f"Bearer {KEY}"] * 2


def test_daily_bars_belong_to_new_yorks_date_and_what_is_not_over_waits(tmp_path: Path) -> None:
    # A minute ahead: also at midnight the date is not over.
    soon = int(datetime.now(UTC).timestamp() * 1000) + 60_000
    with vendor(always(bars(1577941200000, 1591675200000, soon))) as server:
        rows = decoded(Massive(server, tmp_path).ask(interval="1d"), "bar")
    assert [row["trade_date"] for row in rows] == [date(2020, 1, 2), date(2020, 6, 9)]


def test_a_symbol_without_bars_or_unknown_is_told_and_the_others_come(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        if "/NONE/" in asked.path:
            return Reply(NOTHING)
        if "/WRONG%2FX/" in asked.path:
            # Unchecked: a shape from memory, of which we have no record.
            return Reply({"status": "NOT_FOUND", "message": "Data not found."}, 404)
        return Reply(RECORDED)

    with vendor(answer) as server:
        massive = Massive(server, tmp_path)
        messages = massive.ask("NONE", "WRONG/X", "AAPL")
    assert [message.key for message in messages] == [b"AAPL"]
    none, wrong = massive.told.sentences("skipped")
    assert none == (
        "Massive has no bars of 1m for NONE from 2020-01-02 00:00 to 2020-01-04 00:00 UTC."
    )
    assert wrong == "Massive does not know WRONG/X: Data not found."
    assert issubclass(BadSymbolError, Exception)


def test_delayed_data_comes_and_is_told_once(tmp_path: Path) -> None:
    with vendor(always({**RECORDED, "status": "DELAYED"})) as server:
        massive = Massive(server, tmp_path)
        assert len(massive.ask("AAPL", "MSFT")) == 2
    assert massive.told.sentences("info") == [
        "Massive's data is delayed by 15 minutes with this plan."
    ]


@pytest.mark.parametrize("status", [200, 403])
def test_what_the_plan_does_not_hold_is_asked_for_once(tmp_path: Path, status: int) -> None:
    with vendor(always(REFUSED, status)) as server:
        with pytest.raises(PremiumError, match="plan doesn't include this data timeframe"):
            Massive(server, tmp_path).ask("AAPL", "MSFT")
        assert len(server.asked) == 1


def test_an_unknown_key_is_told_once_and_never_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # Unchecked: a shape from memory, of which we have no record.
    refusal = {"status": "ERROR", "request_id": "4", "error": f"Unknown API Key {KEY}"}
    with vendor(always(refusal, 401)) as server:
        with pytest.raises(BadKeyError) as caught:
            Massive(server, tmp_path).ask()
        assert len(server.asked) == 1
    assert str(caught.value) == "Massive does not accept the key: Unknown API Key ***"
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Reply(TOO_OFTEN, 429, {"Retry-After": "0"}), "429"),
        (Reply(TOO_OFTEN), "exceeded the maximum requests per minute"),
        (Reply(b"", 502), "502"),
        (Reply(RECORDED, cut_at=100), "cut the connection"),
        (Reply(RECORDED, cut_at=0), "cut the connection"),
        (Reply(b'{"status": "OK", "resul'), "not JSON"),
    ],
)
def test_what_passes_is_waited_for_and_every_bar_comes_once(
    tmp_path: Path, failure: Reply, words: str
) -> None:
    following = "https://api.massive.com/v2/aggs/next?cursor=2"
    with vendor(always(bars(1577941260000))) as server:
        server.script += [failure, Reply(bars(1577941200000, next_url=following)), failure]
        massive = Massive(server, tmp_path)
        messages = massive.ask()
    assert starts(messages) == [1577941200000, 1577941260000]
    waits = massive.told.sentences("wait")
    assert len(waits) == 2
    assert all(words in sentence for sentence in waits)


def test_pages_that_came_are_kept_when_the_next_one_does_not(tmp_path: Path) -> None:
    following = "https://api.massive.com/v2/aggs/next?cursor=2"
    with vendor(always(b"", 500)) as server:
        server.script.append(Reply(bars(1577941200000, next_url=following)))
        found = []
        source = Massive(server, tmp_path).source
        with pytest.raises(UnavailableError, match="500"):
            found.extend(
                source.fetch(SourceRequest(("AAPL",), start=START, end=END, interval="1m"))
            )
    assert starts(found) == [1577941200000]


def test_an_answer_asked_for_again_gives_only_what_is_new(tmp_path: Path) -> None:
    with vendor(always(bars(1577941200000, 1577941260000))) as server:
        server.script.append(Reply(bars(1577941200000)))
        massive = Massive(server, tmp_path)
        answers = [massive.ask(start=None, end=None) for _ in range(3)]
    assert [starts(answer) for answer in answers] == [[1577941200000], [1577941260000], []]


def test_massive_refuses_what_it_does_not_have(tmp_path: Path) -> None:
    with vendor(always(RECORDED)) as server:
        massive = Massive(server, tmp_path)
        for request in (
            {"what": "news"},
            {"interval": "2m"},
            {"options": {"outputsize": "full"}},
            {"what": "trades"},
            {"interval": "5m", "start": None, "options": {"stream": "true"}},
        ):
            with pytest.raises(RequestError):
                massive.ask(**request)
        assert server.asked == []


def test_the_check_asks_for_a_week_of_daily_bars(tmp_path: Path) -> None:
    with vendor(always(RECORDED)) as server:
        assert "accepts the key" in Massive(server, tmp_path).source.check()
    [asked] = server.asked
    first, last = (int(part) for part in asked.path.rsplit("/", 2)[1:])
    assert timedelta(milliseconds=last - first) < timedelta(days=7)
