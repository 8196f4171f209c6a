"""Alpha Vantage against a server that answers as it does; `requests` is the real one."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stock_pipeline.errors import StoppedError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources.errors import (
    BadKeyError,
    DailyLimitError,
    PremiumError,
    RequestError,
    SourceError,
    UnavailableError,
)
from stock_pipeline.sources.source import Notice, SourceContext, SourceRequest
from stock_pipeline.sources.vendors.alpha_vantage import SOURCE
from stock_pipeline_tests.sources import alpha_vantage_payloads as payloads
from stock_pipeline_tests.sources.vendor_server import Reply, VendorServer, vendor

KEY = payloads.KEY


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor(payloads.answer) as running:
        yield running


class Client:
    """The source, and what it told."""

    def __init__(self, server: VendorServer, home: Path, **settings: Any) -> None:
        self.notices: list[Notice] = []
        self.stop = threading.Event()
        self.stop_at_first_notice = False
        given = {"base_url": server.url, "api_key": SecretStr(KEY), "pause_seconds": 0.01}
        given |= {"requests_per_second": None, "answer_timeout_seconds": 10.0} | settings
        chosen = SOURCE.defaults.model_copy(update=given)
        self.source = SOURCE.open(SourceContext(chosen, home, self.notify, self.stop))

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)
        if self.stop_at_first_notice:
            self.stop.set()

    def fetch(self, *symbols: str, **request: Any) -> list[Message]:
        return list(self.source.fetch(SourceRequest(symbols or ("IBM",), **request)))

    def failure(self, *symbols: str, **request: Any) -> SourceError:
        """The error, of which neither text nor chain may hold the key."""
        with pytest.raises(SourceError) as caught:
            self.fetch(*symbols, **request)
        assert KEY not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert "\n" not in str(caught.value)
        return caught.value

    def told(self) -> str:
        return "\n".join(notice.sentence for notice in self.notices)


@pytest.fixture
def client(server: VendorServer, tmp_path: Path) -> Client:
    return Client(server, tmp_path)


def test_a_document_is_passed_on_as_it_came(server: VendorServer, client: Client) -> None:
    raw = json.dumps(payloads.intraday("IBM"), indent=4).encode() + b"\n"
    server.script = [Reply(raw)]
    assert client.fetch("IBM", interval="5m") == [Message(b"IBM", raw)]
    assert server.asked[0].params == {
        "function": "TIME_SERIES_INTRADAY",
        "interval": "5min",
        "symbol": "IBM",
        "apikey": KEY,
    }
    assert client.notices == []


@pytest.mark.parametrize(
    ("interval", "spelled"),
    [("1m", "1min"), ("5m", "5min"), ("15m", "15min"), ("30m", "30min"), ("1h", "60min")],
)
def test_every_interval_is_asked_for_as_the_vendor_spells_it(
    server: VendorServer, client: Client, interval: str, spelled: str
) -> None:
    options = {"extended_hours": "false", "adjusted": "false", "month": "2009-01"}
    options |= {"outputsize": "full"}
    assert len(client.fetch(interval=interval, options=options)) == 1
    assert server.asked[0].params.items() >= ({"interval": spelled} | options).items()


def test_history_is_asked_for_month_by_month(server: VendorServer, client: Client) -> None:
    start, end = datetime(2025, 11, 3, tzinfo=UTC), datetime(2026, 2, 1, 5, tzinfo=UTC)
    assert len(client.fetch("A", "B", interval="1m", start=start, end=end)) == 6
    months = [asked.params["month"] for asked in server.asked]
    # 05:00 UTC is midnight in New York, where February has not begun for `end`.
    assert months == ["2025-11", "2025-12", "2026-01"] * 2
    assert {asked.params["outputsize"] for asked in server.asked} == {"full"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"interval": "1d"}, {"function": "TIME_SERIES_DAILY"}),
        (
            {"interval": "1d", "options": {"adjusted": "true", "outputsize": "full"}},
            {"function": "TIME_SERIES_DAILY_ADJUSTED", "outputsize": "full"},
        ),
        (
            {"interval": "1d", "start": datetime(2020, 1, 1, tzinfo=UTC)},
            {"function": "TIME_SERIES_DAILY", "outputsize": "full"},
        ),
        ({"what": "quote"}, {"function": "GLOBAL_QUOTE", "symbol": "IBM"}),
        (
            {"what": "news", "start": datetime(2026, 1, 5, 9, 30, tzinfo=UTC)},
            {"function": "NEWS_SENTIMENT", "tickers": "IBM", "time_from": "20260105T0930"},
        ),
    ],
)
def test_daily_bars_quotes_and_news_have_functions_of_their_own(
    server: VendorServer, client: Client, request_: dict[str, Any], expected: dict[str, str]
) -> None:
    found = client.fetch("IBM", **request_)
    assert [message.key for message in found] == [b"IBM"]
    assert server.asked[0].params == expected | {"apikey": KEY} | (
        {} if "tickers" in expected else {"symbol": "IBM"}
    )


def test_a_delayed_quote_under_its_other_name_is_data(server: VendorServer, client: Client) -> None:
    server.script = [Reply(payloads.quote("IBM", " - DATA DELAYED BY 15 MINUTES"))]
    assert len(client.fetch(what="quote", options={"entitlement": "delayed"})) == 1


@pytest.mark.parametrize("body", [payloads.PER_SECOND, payloads.BURST])
def test_more_than_one_request_a_second_is_waited_for(
    server: VendorServer, client: Client, body: dict[str, str]
) -> None:
    server.script = [Reply(body), Reply(body)]
    assert len(client.fetch()) == 1
    assert [notice.kind for notice in client.notices] == ["wait", "wait"]
    assert client.told().startswith("Alpha Vantage was asked more than once a second: try 2 of 5")


def test_the_minute_of_the_older_limit_is_waited_for_until_the_user_stops(
    server: VendorServer, client: Client
) -> None:
    server.script = [Reply(payloads.PER_MINUTE)]
    client.stop_at_first_notice = True
    with pytest.raises(StoppedError):
        client.fetch()
    until = client.notices[0].until
    assert until is not None
    assert 30 < (until - datetime.now(UTC)).total_seconds() <= 60
    assert "too often in a minute" in client.told()


def test_the_daily_limit_stops_until_tomorrow_also_after_a_restart(
    server: VendorServer, client: Client, tmp_path: Path
) -> None:
    server.script = [Reply(payloads.PER_DAY)]
    error = client.failure("IBM", "MSFT")
    assert isinstance(error, DailyLimitError)
    assert error.until > datetime.now(UTC)
    assert f"{error.until:%Y-%m-%d 00:00}" in str(error)
    again = Client(server, tmp_path).failure("IBM")
    assert isinstance(again, DailyLimitError)
    assert again.until == error.until
    assert len(server.asked) == 1
    other_key = Client(server, tmp_path, api_key=SecretStr("another"))
    assert isinstance(other_key.failure("IBM"), BadKeyError)


@pytest.mark.parametrize("key", ["Information", "Note"])
def test_a_text_means_the_same_under_either_of_its_keys(
    server: VendorServer, client: Client, key: str
) -> None:
    texts = [payloads.PER_SECOND, payloads.PER_DAY]
    server.script = [Reply({key: text["Information"]}) for text in texts]
    assert isinstance(client.failure(), DailyLimitError)
    assert [notice.kind for notice in client.notices] == ["wait"]


@pytest.mark.parametrize("body", [payloads.PREMIUM_ENDPOINT, payloads.PREMIUM_FEATURE])
def test_what_must_be_paid_is_never_asked_for_again(
    server: VendorServer, client: Client, body: dict[str, str]
) -> None:
    server.script = [Reply(body)]
    assert isinstance(client.failure("IBM", "MSFT"), PremiumError)
    assert len(server.asked) == 1


def test_a_bad_symbol_and_an_empty_one_are_told_and_the_others_go_on(
    server: VendorServer, client: Client
) -> None:
    found = client.fetch("BAD\n1", "IBM", "EMPTY", "MSFT")
    assert [message.key for message in found] == [b"IBM", b"MSFT"]
    assert [notice.kind for notice in client.notices] == ["skipped", "skipped"]
    assert client.notices[0].sentence.startswith(r"Alpha Vantage does not know BAD\n1")
    assert "has nothing for EMPTY" in client.notices[1].sentence
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        ({}, {"Meta Data": {}, "Time Series (5min)": {}}),
        ({"what": "quote"}, {"Global Quote": {}}),
        ({"what": "news"}, {"items": "0", "feed": []}),
    ],
)
def test_a_frame_without_content_is_not_sent(
    server: VendorServer, client: Client, request_: dict[str, Any], body: dict[str, Any]
) -> None:
    server.script = [Reply(body)]
    assert client.fetch(**request_) == []
    assert "has nothing for IBM" in client.told()


def test_a_wrong_key_ends_it(server: VendorServer, tmp_path: Path) -> None:
    client = Client(server, tmp_path, api_key=SecretStr("wrong"))
    assert isinstance(client.failure("IBM", "MSFT"), BadKeyError)
    assert len(server.asked) == 1


def test_an_unknown_text_is_shown_without_the_key_the_vendor_echoes(
    server: VendorServer, client: Client
) -> None:
    server.script = [Reply(payloads.UNKNOWN)]
    error = client.failure()
    assert isinstance(error, UnavailableError)
    assert r"We are moving house, dear ***.\nCome back later." in str(error)


@pytest.mark.parametrize("body", [[], "text", {"Surprise": 1}, {"Information": 3}])
def test_a_document_of_an_unknown_shape_is_not_sent(
    server: VendorServer, client: Client, body: Any
) -> None:
    server.script = [Reply(body)]
    assert "unknown shape" in str(client.failure())


DOCUMENT = json.dumps(payloads.intraday("IBM")).encode()


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(status=429, headers={"Retry-After": "0"}), "answered 429, too many requests"),
        (Reply(status=503), "answered 503"),
        (Reply(status=500, body={"Information": "premium endpoint"}), "answered 500"),
        (Reply(DOCUMENT, cut_at=200), "cut the connection before its answer was whole"),
        (Reply(DOCUMENT, cut_at=200, chunked=True), "cut the connection before"),
        (Reply(cut_at=0), "cut the connection before its answer was whole"),
        (Reply(DOCUMENT, headers={"Content-Encoding": "gzip"}), "cut the connection"),
        (Reply(DOCUMENT[:-1]), "bytes that are not JSON"),
        (Reply(b"<html>Maintenance</html>"), "bytes that are not JSON"),
        (Reply(b"[" * 100_000), "bytes that are not JSON"),
        (Reply(b""), "answered with 0 bytes that are not JSON"),
    ],
)
def test_what_passes_is_told_and_asked_again(
    server: VendorServer, client: Client, reply: Reply, sentence: str
) -> None:
    server.script = [reply]
    assert client.fetch() == [Message(b"IBM", DOCUMENT)]
    assert [notice.kind for notice in client.notices] == ["wait"]
    assert client.told().startswith("Alpha Vantage ")
    assert sentence in client.told()
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(hang=True),
        Reply(DOCUMENT, cut_at=100, hang=True),
        Reply(DOCUMENT, drip=0.05),
    ],
)
def test_silence_is_told_and_asked_again(
    server: VendorServer, tmp_path: Path, reply: Reply
) -> None:
    client = Client(server, tmp_path, answer_timeout_seconds=0.5)
    server.script = [reply]
    assert len(client.fetch()) == 1
    assert "gave no whole answer within 0.5 s" in client.told()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(DOCUMENT, chunked=True),
        Reply(gzip.compress(DOCUMENT), headers={"Content-Encoding": "gzip"}),
    ],
)
def test_chunks_and_compression_are_undone(
    server: VendorServer, client: Client, reply: Reply
) -> None:
    server.script = [reply]
    assert client.fetch() == [Message(b"IBM", DOCUMENT)]
    assert client.notices == []


def test_the_vendors_word_on_when_to_ask_again_comes_first(
    server: VendorServer, client: Client
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(days=20_000), usegmt=True)
    server.script = [Reply(status=429, headers={"Retry-After": later})]
    client.stop_at_first_notice = True
    with pytest.raises(StoppedError):
        client.fetch()
    until = client.notices[0].until
    assert until is not None
    # Not in 54 years: that is a mistake.
    assert 20_000 < (until - datetime.now(UTC)).total_seconds() <= 21_600


@pytest.mark.parametrize("value", ["soon", "-5", ""])
def test_nonsense_in_retry_after_is_the_usual_pause(
    server: VendorServer, client: Client, value: str
) -> None:
    server.script = [Reply(status=429, headers={"Retry-After": value})]
    assert len(client.fetch()) == 1


def test_what_stays_broken_is_given_up_after_all_tries(
    server: VendorServer, client: Client
) -> None:
    server.script = [Reply(status=502)] * 5
    error = client.failure("IBM")
    assert isinstance(error, UnavailableError)
    assert "answered 502 Bad Gateway, at the last of 5 tries; nothing" in str(error)
    assert len(server.asked) == 5


def test_a_redirect_is_not_followed(server: VendorServer, client: Client) -> None:
    server.script = [Reply(status=302, headers={"Location": f"{server.url}/elsewhere"})]
    assert "answered 302" in str(client.failure())
    assert len(server.asked) == 1


def test_a_vendor_that_is_away_is_one_sentence(server: VendorServer, tmp_path: Path) -> None:
    client = Client(server, tmp_path, attempts=2)
    server.stop()
    assert "cannot be reached, at the last of 2 tries" in str(client.failure())


def test_the_key_is_in_no_log(
    server: VendorServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = [Reply(cut_at=0), Reply(payloads.PER_SECOND)]
    client.fetch()
    lines = [record.getMessage() for record in caplog.records]
    assert any("apikey=***" in line for line in lines), lines
    assert not any("K3Y" in line for line in lines)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"what": "trades"}, "has no trades; it has bars, quote, news"),
        ({"interval": "2m"}, "has no bars of 2m; it has 1m"),
        (
            {"options": {"mouth": "2020-01"}},
            "takes no option 'mouth' for bars; it takes bar, start, end, adjusted",
        ),
        ({"options": {"outputsize": "huge"}}, "outputsize is one of compact, full"),
        # What the formats read is JSON.
        ({"options": {"datatype": "csv"}}, "takes no option 'datatype'"),
        (
            {"start": datetime(2026, 1, 1, tzinfo=UTC), "options": {"month": "2026-01"}},
            "not both",
        ),
    ],
)
def test_what_the_vendor_does_not_have_is_not_asked_for(
    server: VendorServer, client: Client, request_: dict[str, Any], sentence: str
) -> None:
    error = client.failure("IBM", **request_)
    assert isinstance(error, RequestError)
    assert sentence in str(error)
    assert server.asked == []


def test_the_key_can_be_checked(server: VendorServer, client: Client, tmp_path: Path) -> None:
    assert "key works" in client.source.check()
    assert server.asked[0].params["function"] == "GLOBAL_QUOTE"
    with pytest.raises(BadKeyError):
        Client(server, tmp_path, api_key=SecretStr("wrong")).source.check()


def test_the_defaults_are_those_of_a_free_key() -> None:
    assert SOURCE.defaults.requests_per_day == 25
    assert SOURCE.defaults.requests_per_second == 1
    assert isinstance(SOURCE.defaults, SourceSettings)
