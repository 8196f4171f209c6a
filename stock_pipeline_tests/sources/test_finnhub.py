"""Finnhub against a WebSocket server in its place."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import BadKeyError, PremiumError, RequestError
from stock_pipeline.sources.source import SourceRequest
from stock_pipeline.sources.vendors.finnhub import SOURCE
from stock_pipeline_tests.sources.asking import Told, context, decoded, taken
from stock_pipeline_tests.sources.stream_vendor import Line, StreamVendor, stream_vendor

KEY = "c0ffee-secret/key"
#: As documented: two fills that are identical but for their size; conditions may be null.
RECORDED = {
    "data": [
        {"c": ["1", "8", "24", "12"], "p": 122.09, "s": "TSLA", "t": 1672348887196, "v": 4},
        {"c": ["1", "8", "24", "12"], "p": 122.09, "s": "TSLA", "t": 1672348887196, "v": 10},
        {"c": None, "p": 122.1, "s": "TSLA", "t": 1672348887200, "v": 0.5},
    ],
    "type": "trade",
}
PING = {"type": "ping"}
LIMIT = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}


class Finnhub:
    """The source and what it told."""

    def __init__(self, vendor: StreamVendor, home: Path, **settings: Any) -> None:
        self.told = Told()
        self.context = context(
            home, self.told, stream_url=vendor.url, api_key=SecretStr(KEY), **settings
        )
        self.source = SOURCE.open(self.context)

    def take(self, count: int, *symbols: str) -> list[Message]:
        request = SourceRequest(symbols or ("TSLA",), "trades")
        return taken(self.source, request, count, self.context.stop)


def trade(price: float, symbol: str = "TSLA", at: int = 1672348887196) -> dict[str, Any]:
    return {"data": [{"c": None, "p": price, "s": symbol, "t": at, "v": 1}], "type": "trade"}


def prices(messages: list[Message]) -> list[float]:
    return [row["price"] for row in decoded(messages, "trade")]


def plays(*documents: Any) -> Any:
    """Hear one subscription, send these, wait for the end."""

    def play(line: Line) -> None:
        line.hear()
        line.send(*documents)
        line.wait_for_end()

    return play


def test_trades_become_rows_and_identical_prints_stay_fills_of_their_own(tmp_path: Path) -> None:
    with stream_vendor(plays(PING, RECORDED, PING, RECORDED)) as vendor:
        finnhub = Finnhub(vendor, tmp_path)
        messages = finnhub.take(6)
    rows = decoded(messages, "trade")
    at = datetime(2022, 12, 29, 21, 21, 27, 196000)
    names = ("symbol", "event_time", "price", "size", "trade_id", "venue")
    once = [
        ("TSLA", at, 122.09, 4.0, None, None),
        ("TSLA", at, 122.09, 10.0, None, None),
        ("TSLA", at.replace(microsecond=200000), 122.1, 0.5, None, None),
    ]
    assert [tuple(row[name] for name in names) for row in rows] == once * 2
    assert vendor.lines[0].said == [{"type": "subscribe", "symbol": "TSLA"}]
    assert vendor.requests[0].path == "/?token=c0ffee-secret%2Fkey"
    assert finnhub.told.notices == []


def test_a_connection_cut_in_a_frame_is_made_again_and_what_was_missed_is_told(
    tmp_path: Path,
) -> None:
    def cut(line: Line) -> None:
        line.hear(2)
        line.send(trade(1))
        line.cut(trade(2))

    def closed(line: Line) -> None:
        line.hear(2)
        line.send(trade(3))

    def well(line: Line) -> None:
        line.hear(2)
        line.send(trade(4))
        line.wait_for_end()

    with stream_vendor(cut, 503, closed, well) as vendor:
        finnhub = Finnhub(vendor, tmp_path)
        messages = finnhub.take(3, "TSLA", "AAPL")
    assert prices(messages) == [1, 3, 4]
    subscribed = [{"type": "subscribe", "symbol": symbol} for symbol in ("TSLA", "AAPL")]
    assert [line.said for line in vendor.lines] == [subscribed] * 3
    lost, refused, ended = finnhub.told.sentences("wait")
    assert "closed the connection" in lost
    assert "answered 503 instead of opening a stream" in refused
    assert "closed the connection" in ended
    missed = finnhub.told.sentences("skipped")
    assert len(missed) == 2
    assert all("Finnhub does not repeat them" in sentence for sentence in missed)


def test_pauses_grow_until_a_frame_arrives(tmp_path: Path) -> None:
    with stream_vendor(500, 500, 500, lambda line: line.hear(), plays(trade(1))) as vendor:
        finnhub = Finnhub(vendor, tmp_path, pause_seconds=0.01, longest_pause_seconds=0.03)
        waits: list[float] = []
        wait = finnhub.context.wait
        object.__setattr__(
            finnhub.context, "wait", lambda s, reason: (waits.append(s), wait(s, reason))
        )
        assert prices(finnhub.take(1)) == [1]
    assert waits == [0.01, 0.02, 0.03, 0.03]


def test_a_limit_is_waited_for(tmp_path: Path) -> None:
    with stream_vendor(429, plays(LIMIT), plays(trade(1))) as vendor:
        finnhub = Finnhub(vendor, tmp_path)
        assert prices(finnhub.take(1)) == [1]
    early, late = finnhub.told.sentences("wait")
    assert "answered 429" in early
    assert "API limit reached" in late


# Here and below, errors with `type` and `msg` are unchecked: from memory, we have no record.
@pytest.mark.parametrize("play", [401, plays({"type": "error", "msg": f"Invalid API key {KEY}"})])
def test_a_bad_key_is_told_once_and_never_shown(
    tmp_path: Path, play: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with stream_vendor(play) as vendor:
        finnhub = Finnhub(vendor, tmp_path)
        with pytest.raises(BadKeyError, match="does not accept the key") as caught:
            finnhub.take(1)
    assert len(vendor.requests) == 1
    client = "\n".join(r.getMessage() for r in caplog.records if r.name != "websockets.server")
    for shown in (repr(caught.value), client):
        assert KEY not in shown
        assert "c0ffee-secret%2Fkey" not in shown


def test_a_plan_without_a_symbol_ends_the_stream(tmp_path: Path) -> None:
    refusal = {"type": "error", "msg": "You don't have access to this resource."}
    with stream_vendor(plays(refusal)) as vendor, pytest.raises(PremiumError, match="access"):
        Finnhub(vendor, tmp_path).take(1)


def test_what_is_no_trade_is_told_and_the_next_one_comes(tmp_path: Path) -> None:
    nonsense = ["{", [], {"type": "news"}, {"type": "error", "msg": "Invalid symbol"}]
    half = {"type": "trade", "data": [{"s": "TSLA", "p": 1}, None]}
    with stream_vendor(plays(*nonsense, half, {"type": "trade"}, trade(7))) as vendor:
        finnhub = Finnhub(vendor, tmp_path)
        assert prices(finnhub.take(1)) == [7]
    assert len(finnhub.told.sentences("skipped")) == 6
    assert finnhub.told.sentences("wait") == []


def test_a_vendor_that_answers_no_pings_is_left(tmp_path: Path) -> None:
    def mute(line: Line) -> None:
        line.hear()
        line.send(trade(1))
        # The thread that reads stands still, as when the machine is gone.
        with line._connection.protocol_mutex:
            gone.wait(60)

    import threading

    gone = threading.Event()
    with stream_vendor(mute, plays(trade(2))) as vendor:
        finnhub = Finnhub(vendor, tmp_path, answer_timeout_seconds=9)
        try:
            assert prices(finnhub.take(2)) == [1, 2]
        finally:
            gone.set()
    assert len(finnhub.told.sentences("wait")) == 1


def test_finnhub_refuses_what_it_does_not_have(tmp_path: Path) -> None:
    with stream_vendor() as vendor:
        source = Finnhub(vendor, tmp_path).source
        for request in (
            SourceRequest(("TSLA",), "bars"),
            SourceRequest(("TSLA",), "trades", interval="1m"),
        ):
            with pytest.raises(RequestError):
                source.fetch(request)
        assert vendor.requests == []


def test_the_check_opens_a_stream(tmp_path: Path) -> None:
    with stream_vendor(lambda line: line.wait_for_end(), 401) as vendor:
        assert "accepts the key" in Finnhub(vendor, tmp_path).source.check()
        with pytest.raises(BadKeyError):
            Finnhub(vendor, tmp_path).source.check()
