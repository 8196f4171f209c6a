"""Massive's WebSocket against a server in its place, and what REST adds when a line was lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import BadKeyError, PremiumError
from stock_pipeline.sources.source import SourceRequest
from stock_pipeline_tests.sources.asking import decoded, taken
from stock_pipeline_tests.sources.stream_vendor import Line, StreamVendor, stream_vendor
from stock_pipeline_tests.sources.test_massive import KEY, NOTHING, REFUSED, Massive, bars, starts
from stock_pipeline_tests.sources.vendor_server import Reply, VendorServer, vendor

CONNECTED = [{"ev": "status", "status": "connected", "message": "Connected Successfully"}]
LOGGED_IN = [{"ev": "status", "status": "auth_success", "message": "authenticated"}]
#: As documented.
RECORDED_BAR = {"ev": "AM", "sym": "AAPL", "v": 1000, "av": 5000000, "op": 148.0, "vw": 150.5}
RECORDED_BAR |= {"o": 150.0, "c": 151.0, "h": 152.0, "l": 149.0, "a": 150.25, "z": 100}
RECORDED_BAR |= {"s": 1703001200000, "e": 1703001260000}
RECORDED_TRADE = {"ev": "T", "sym": "AAPL", "x": 4, "i": "12345", "z": 3, "p": 114.125, "s": 100}
RECORDED_TRADE |= {"c": [0, 12], "t": 1536036818784, "q": 3681328}
MINUTE = 60_000
#: Milliseconds of a minute some time ago.
FIRST = int(datetime.now(UTC).timestamp() * 1000) // MINUTE * MINUTE - 15 * MINUTE


def minute(number: int) -> int:
    return FIRST + number * MINUTE


def bar(start: int) -> dict[str, Any]:
    return RECORDED_BAR | {"s": start, "e": start + MINUTE}


def trade(trade_id: int, at: int, **changes: Any) -> dict[str, Any]:
    return RECORDED_TRADE | {"i": str(trade_id), "t": at} | changes


def past_trade(trade_id: int, at: int) -> dict[str, Any]:
    """The same trade as REST has it.

    Unchecked: a shape from memory, of which we have no record.
    """
    common = {"conditions": [0, 12], "exchange": 4, "price": 114.125, "sequence_number": 3681328}
    times = {"sip_timestamp": at * 1_000_000 + 123, "participant_timestamp": at * 1_000_000}
    return common | times | {"id": str(trade_id), "size": 100, "tape": 3}


def log_in(line: Line) -> None:
    line.send(CONNECTED)
    line.hear()
    line.send(LOGGED_IN)
    line.hear()
    names = line.said[-1]["params"]
    line.send([{"ev": "status", "status": "success", "message": f"subscribed to: {names}"}])


def plays(*documents: Any) -> Any:
    """Log in, send these, wait for the end."""

    def play(line: Line) -> None:
        log_in(line)
        line.send(*documents)
        line.wait_for_end()

    return play


def broken(*documents: Any) -> Any:
    """The same, but the line is cut in the middle of another frame."""

    def play(line: Line) -> None:
        log_in(line)
        line.send(*documents)
        line.cut([bar(minute(9)), trade(9, minute(9))])

    return play


@pytest.fixture
def rest() -> Iterator[VendorServer]:
    with vendor(lambda _: Reply(NOTHING)) as server:
        yield server


def stream(
    line: StreamVendor, rest: VendorServer, home: Path, **settings: Any
) -> tuple[Massive, Any]:
    massive = Massive(rest, home, stream_url=line.url, **settings)

    def take(count: int, *symbols: str, what: str = "bars") -> list[Message]:
        options = {"stream": "true"} if what == "bars" else {}
        request = SourceRequest(symbols or ("AAPL",), what, options=options)  # type: ignore[arg-type]
        return taken(massive.source, request, count, massive.context.stop)

    return massive, take


def test_recorded_frames_become_rows_after_login(tmp_path: Path, rest: VendorServer) -> None:
    # The facility `trfi` is unchecked: from memory, of which we have no record.
    fraction = trade(12346, 1536036818784, s=0, ds="0.25", trfi=202)
    with stream_vendor(plays([RECORDED_BAR]), plays([RECORDED_TRADE, fraction])) as line:
        massive, take = stream(line, rest, tmp_path)
        [row] = decoded(take(1, "AAPL", "MSFT"), "bar")
        _, take = stream(line, rest, tmp_path)
        first, second = decoded(take(2, what="trades"), "trade")
    expected = {
        "symbol": "AAPL",
        "bar_start": datetime(2023, 12, 19, 15, 53, 20),
        "interval": "1m",
        "open": 150.0,
        "high": 152.0,
        "low": 149.0,
        "close": 151.0,
        "volume": 1000.0,
        "vwap": 150.5,
        "trade_count": None,
        "source": "massive",
    }
    assert {name: row[name] for name in expected} == expected
    names = ("event_time", "price", "size", "trade_id", "venue")
    at = datetime(2018, 9, 4, 4, 53, 38, 784000)
    assert tuple(first[n] for n in names) == (at, 114.125, 100.0, "12345", "4")
    assert tuple(second[n] for n in names) == (at, 114.125, 0.25, "12346", "4/202")
    assert [line.said for line in line.lines] == [
        [
            {"action": "auth", "params": KEY},
            {"action": "subscribe", "params": "AM.AAPL,AM.MSFT"},
        ],
        [{"action": "auth", "params": KEY}, {"action": "subscribe", "params": "T.AAPL"}],
    ]
    assert (massive.told.notices, rest.asked) == ([], [])


def test_after_a_cut_line_rest_gives_the_missing_bars_and_none_comes_twice(
    tmp_path: Path, rest: VendorServer
) -> None:
    # Nobody traded in minute 3: no bar, and nothing is missing.
    rest.script.append(Reply(bars(minute(2), minute(4))))
    again = plays([bar(minute(4))], [bar(minute(5))])
    with stream_vendor(broken([bar(minute(0)), bar(minute(1))]), 503, again) as line:
        massive, take = stream(line, rest, tmp_path)
        messages = take(5)
    assert starts(messages) == [minute(number) for number in (0, 1, 2, 4, 5)]
    [asked] = rest.asked
    assert asked.path.rsplit("/", 2)[1] == str(minute(2))
    lost, refused = massive.told.sentences("wait")
    assert "closed the connection" in lost
    assert "answered 503" in refused


def test_bars_that_rest_has_late_are_asked_for_when_the_next_one_comes(
    tmp_path: Path, rest: VendorServer
) -> None:
    rest.script += [Reply(NOTHING), Reply(bars(minute(1), minute(2)))]
    with stream_vendor(broken([bar(minute(0))]), plays([bar(minute(3))], [bar(minute(4))])) as line:
        _, take = stream(line, rest, tmp_path)
        messages = take(5)
    assert starts(messages) == [minute(number) for number in range(5)]
    assert [asked.path.rsplit("/", 2)[1:] for asked in rest.asked][1] == [
        str(minute(1)),
        str(minute(3) - 1),
    ]


def test_after_a_cut_line_rest_gives_the_missing_trades_and_none_comes_twice(
    tmp_path: Path, rest: VendorServer
) -> None:
    def answer(asked: Any) -> Reply:
        if "cursor" in asked.params:
            return Reply({"status": "OK", "results": [past_trade(4, minute(4))]})
        past = [past_trade(2, minute(2)), past_trade(3, minute(3))]
        following = "https://api.massive.com/v3/trades/AAPL?cursor=x"
        return Reply({"status": "OK", "results": past, "next_url": following})

    rest.answer = answer
    same_id_elsewhere = trade(5, minute(5), x=11)
    with stream_vendor(
        broken([trade(1, minute(1)), trade(1, minute(1)), trade(2, minute(2))]),
        plays([trade(4, minute(4)), trade(5, minute(5)), same_id_elsewhere]),
    ) as line:
        _, take = stream(line, rest, tmp_path)
        rows = decoded(take(6, what="trades"), "trade")
    assert [(row["trade_id"], row["venue"]) for row in rows] == [
        *((str(n), "4") for n in range(1, 6)),
        ("5", "11"),
    ]
    assert rest.asked[0].path == "/v3/trades/AAPL"
    assert rest.asked[0].params["timestamp.gte"] == f"{minute(2)}000000"


def test_trades_without_an_id_are_all_sent(tmp_path: Path, rest: VendorServer) -> None:
    anonymous = {k: v for k, v in trade(1, minute(1)).items() if k != "i"}
    with stream_vendor(plays([anonymous, anonymous])) as line:
        massive, take = stream(line, rest, tmp_path)
        rows = decoded(take(2, what="trades"), "trade")
    assert [row["trade_id"] for row in rows] == [None, None]
    assert massive.told.notices == []


def test_a_plan_without_history_leaves_a_gap_that_is_told(
    tmp_path: Path, rest: VendorServer
) -> None:
    rest.answer = lambda _: Reply(REFUSED, 403)
    with stream_vendor(broken([bar(minute(0))]), plays([bar(minute(3))])) as line:
        massive, take = stream(line, rest, tmp_path)
        assert starts(take(2)) == [minute(0), minute(3)]
    sentences = massive.told.sentences("skipped")
    assert sentences
    assert all("may be missing: Massive's plan" in sentence for sentence in sentences)


def test_a_bad_key_is_told_once_and_never_shown(
    tmp_path: Path, rest: VendorServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def refuse(line: Line) -> None:
        line.send(CONNECTED)
        line.hear()
        # Unchecked: a shape from memory, of which we have no record.
        line.send([{"ev": "status", "status": "auth_failed", "message": f"bad key {KEY}"}])
        line.wait_for_end()

    with stream_vendor(refuse) as line:
        _, take = stream(line, rest, tmp_path)
        with pytest.raises(BadKeyError) as caught:
            take(1)
        assert len(line.lines) == 1
    assert str(caught.value) == "Massive does not accept the key (bad key ***)."
    ours = [r for r in caplog.records if r.name != "websockets.server"]
    assert KEY not in "\n".join(record.getMessage() for record in ours)


def test_a_plan_without_the_stream_ends_it(tmp_path: Path, rest: VendorServer) -> None:
    # Unchecked: a shape from memory, of which we have no record.
    refusal = [{"ev": "status", "status": "error", "message": "You don't have access real-time"}]
    with stream_vendor(plays(refusal)) as line, pytest.raises(PremiumError, match="real-time"):
        stream(line, rest, tmp_path)[1](1)


def test_a_second_connection_of_the_key_waits_for_the_first(
    tmp_path: Path, rest: VendorServer
) -> None:
    def refuse(line: Line) -> None:
        line.send(CONNECTED)
        line.hear()
        # Unchecked: a shape from memory, of which we have no record.
        line.send([{"ev": "status", "status": "max_connections", "message": "Maximum number"}])
        line.wait_for_end()

    with stream_vendor(refuse, plays([bar(minute(0))])) as line:
        massive, take = stream(line, rest, tmp_path)
        assert starts(take(1)) == [minute(0)]
    [sentence] = massive.told.sentences("wait")
    assert "has another connection of this key" in sentence


def test_what_is_incomplete_or_not_asked_for_is_told_and_the_next_one_comes(
    tmp_path: Path, rest: VendorServer
) -> None:
    half = [{"ev": "AM", "sym": "AAPL"}, RECORDED_TRADE, None]
    with stream_vendor(plays("[{", half, [bar(minute(0))])) as line:
        massive, take = stream(line, rest, tmp_path)
        assert starts(take(1)) == [minute(0)]
    assert len(massive.told.sentences("skipped")) == 4
