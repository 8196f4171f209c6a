"""Yahoo against a server in its place; yfinance and its HTTP client are the real ones."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import RequestError, SourceError, UnavailableError
from stock_pipeline.sources.source import SourceRequest
from stock_pipeline.sources.vendors.yahoo import SOURCE
from stock_pipeline_tests.sources.asking import Told, context, decoded
from stock_pipeline_tests.sources.vendor_server import Reply, VendorServer
from stock_pipeline_tests.sources.yahoo_server import (
    DELISTED,
    EMPTY,
    NEW_YORK,
    TOO_FAR_BACK,
    chart,
    charts,
    yahoo_server,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")

OPEN, CLOSE = 1791207000, 1791230400
#: As recorded on 2026-10-05: float32 noise, an interval without trades, the point of now.
RECORDED = chart(
    [OPEN, OPEN + 300, 1791208707],
    [
        (332.7950134277344, 336.19000244140625, 331.6499938964844, 336.0736083984375, 1810280),
        (None, None, None, None, None),
        (333.9226989746094, 333.9226989746094, 333.9226989746094, 333.9226989746094, 0),
    ],
    market_time=1791208707,
    regular=(OPEN, CLOSE),
)
FIRST_BAR = {
    "symbol": "AAPL",
    "bar_start": datetime(2026, 10, 5, 13, 30),
    "interval": "5m",
    "open": 332.8,
    "high": 336.19,
    "low": 331.65,
    "close": 336.07,
    "adjusted_close": None,
    "volume": 1810280.0,
    "source": "yahoo",
    "trade_date": date(2026, 10, 5),
}


class Yahoo:
    """The source, what it told, and what it yielded."""

    def __init__(self, server: VendorServer, home: Path, **settings: Any) -> None:
        self.told = Told()
        self.context = context(home, self.told, base_url=server.url, **settings)
        self.source = SOURCE.open(self.context)

    def ask(self, *symbols: str, **request: Any) -> list[Message]:
        return list(self.source.fetch(SourceRequest(symbols or ("AAPL",), **request)))


def picked(rows: list[dict[str, Any]], names: Any) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in rows]


def test_a_bar_is_rounded_and_neither_nulls_nor_the_point_of_now_become_bars(
    tmp_path: Path,
) -> None:
    with yahoo_server(charts(RECORDED)) as server:
        messages = Yahoo(server, tmp_path).ask(interval="5m")
        asked = server.asked[-1]
    assert picked(decoded(messages, "bar"), FIRST_BAR) == [FIRST_BAR]
    assert [message.key for message in messages] == [b"AAPL"]
    # Through cookie and crumb, as yfinance does.
    assert (asked.params["crumb"], asked.params["interval"]) == ("cRuMb", "5m")


def test_an_answer_asked_for_again_gives_only_what_is_new(tmp_path: Path) -> None:
    later = chart(
        [OPEN, OPEN + 300],
        [(332.8, 336.19, 331.65, 336.07, 1810280), (336, 337, 335, 336.5, 9)],
        market_time=OPEN + 600,
        regular=(OPEN, CLOSE),
    )
    with yahoo_server(charts(RECORDED, later, later)) as server:
        yahoo = Yahoo(server, tmp_path)
        answers = [yahoo.ask(interval="5m") for _ in range(3)]
    starts = [[row["bar_start"].minute for row in decoded(a, "bar")] for a in answers]
    assert starts == [[30], [35], []]
    assert yahoo.told.notices == []


def test_a_bar_that_is_not_over_waits_for_its_end(tmp_path: Path) -> None:
    now = int(datetime.now(UTC).timestamp())
    # Half an hour is left: it does not end while the test runs.
    start = now - now % 60 - 1800
    times = [start - 7200, start - 3600, start]
    answer = chart(
        times,
        [(10, 12, 9, 11, 5)] * 3,
        market_time=now,
        regular=(start - 7200, start + 7200),
        granularity="1h",
    )
    with yahoo_server(charts(answer)) as server:
        rows = decoded(
            Yahoo(server, tmp_path).ask(interval="1h", options={"prepost": "true"}), "bar"
        )
    assert [row["bar_start"].replace(tzinfo=UTC).timestamp() for row in rows] == times[:2]


def daily(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).timestamp())


def test_daily_bars_have_adjusted_closes_and_today_only_when_its_session_is_over(
    tmp_path: Path,
) -> None:
    now = int(datetime.now(UTC).timestamp())
    closing = now + 600
    today = datetime.fromtimestamp(closing, NEW_YORK).date()
    days = [date(2020, 8, 28), date(2020, 8, 31), today]
    answer = chart(
        [daily(day) for day in days],
        [
            (126.01249694824219, 126.44249725341797, 124.57749938964844, 124.80750274658203, 187),
            (127.58000183105469, 131.0, 126.0, 129.0399932861328, 225),
            (9, 9, 9, 9, 1),
        ],
        market_time=now,
        regular=(now - 60, closing),
        granularity="1d",
        adjusted=[121.40702056884766, 125.52421569824219, 9],
    )
    with yahoo_server(charts(answer)) as server:
        messages = Yahoo(server, tmp_path).ask()
    names = ("trade_date", "interval", "open", "high", "low", "close", "adjusted_close", "volume")
    expected = [
        (days[0], "1d", 126.01, 126.44, 124.58, 124.81, 121.407, 187.0),
        (days[1], "1d", 127.58, 131.0, 126.0, 129.04, 125.5242, 225.0),
    ]
    assert [tuple(row[n] for n in names) for row in decoded(messages, "bar")] == expected


def test_a_last_day_that_comes_twice_is_one_bar(tmp_path: Path) -> None:
    days = [date(2026, 10, 2), date(2026, 10, 5)]
    answer = chart(
        [*(daily(day) for day in days), CLOSE],
        [(10, 12, 9, 11, 5), (11, 13, 10, 12, 6), (11, 13, 10, 12, 6)],
        market_time=CLOSE,
        regular=(OPEN, CLOSE),
        granularity="1d",
        adjusted=[11, 12, 12],
    )
    with yahoo_server(charts(answer)) as server:
        rows = decoded(Yahoo(server, tmp_path).ask(), "bar")
    names = ("trade_date", "close", "volume")
    assert [tuple(row[n] for n in names) for row in rows] == [(days[0], 11, 5), (days[1], 12, 6)]


def test_without_a_session_the_day_ends_with_its_date(tmp_path: Path) -> None:
    # Ten minutes ahead: also at midnight the date is not over.
    days = [date(2020, 8, 28), (datetime.now(NEW_YORK) + timedelta(minutes=10)).date()]
    answer = chart(
        [daily(day) for day in days],
        [(10, 12, 9, 11, 0)] * 2,
        market_time=CLOSE,
        regular=(OPEN, CLOSE),
        granularity="1d",
        adjusted=[11, 11],
    )
    del answer["chart"]["result"][0]["meta"]["currentTradingPeriod"]
    with yahoo_server(charts(answer)) as server:
        [row] = decoded(Yahoo(server, tmp_path).ask(), "bar")
    assert row["trade_date"] == days[0]


def test_old_prices_divided_by_splits_keep_their_digits(tmp_path: Path) -> None:
    answer = chart(
        [daily(date(1985, 10, 1))],
        [(0.07198660820722580, 0.0725446417927742, 0.0714285746216774, 0.0719866082072258, 7)],
        market_time=CLOSE,
        regular=(OPEN, CLOSE),
        granularity="1d",
        adjusted=[0.05547],
    )
    with yahoo_server(charts(answer)) as server:
        [row] = decoded(Yahoo(server, tmp_path).ask(), "bar")
    assert (row["open"], row["high"], row["low"]) == (0.071987, 0.072545, 0.071429)


def test_splits_and_dividends_are_actions(tmp_path: Path) -> None:
    days = [date(2018, 4, 26), date(2018, 5, 3)]
    times = [daily(day) for day in days]
    answer = chart(
        times,
        [(10, 11, 9, 10, 5)] * 2,
        market_time=CLOSE,
        regular=(OPEN, CLOSE),
        granularity="1d",
        adjusted=[10, 10],
        events={
            "dividends": {str(times[0]): {"amount": 0.2475, "date": times[0]}},
            "splits": {
                str(times[1]): {
                    "date": times[1],
                    "numerator": 50,
                    "denominator": 1,
                    "splitRatio": "50:1",
                }
            },
        },
    )
    with yahoo_server(charts(answer)) as server:
        messages = Yahoo(server, tmp_path).ask(what="actions")
    common = {"symbol": "AAPL", "source": "yahoo"}
    dividend = {"ex_date": "2018-04-26", "kind": "dividend", "amount": 0.2475, "currency": "USD"}
    split = {"ex_date": "2018-05-03", "kind": "split", "ratio": 50.0}
    assert [json.loads(message.value or b"") for message in messages] == [
        common | dividend,
        common | split,
    ]


def test_a_quote_is_a_trade_of_no_size_that_is_the_same_when_asked_again(tmp_path: Path) -> None:
    with yahoo_server(charts(RECORDED)) as server:
        yahoo = Yahoo(server, tmp_path)
        first, again = yahoo.ask(what="quote"), yahoo.ask(what="quote")
    assert first == again
    [row] = decoded(first, "trade")
    names = ("event_time", "price", "size", "trade_id", "venue")
    assert tuple(row[n] for n in names) == (
        datetime(2026, 10, 5, 13, 58, 27),
        333.92,
        0.0,
        "quote-1791208707",
        "NMS",
    )


@pytest.mark.parametrize(
    ("interval", "back", "most"), [("1m", 29, 8), ("5m", 60, 60), ("1h", 730, 730)]
)
def test_history_is_asked_for_within_yahoos_windows(
    tmp_path: Path, interval: str, back: int, most: int
) -> None:
    now = datetime.now(UTC)
    with yahoo_server(charts(RECORDED)) as server:
        yahoo = Yahoo(server, tmp_path)
        yahoo.ask(interval=interval, start=now - timedelta(days=2 * back), end=now)
        windows = [
            (int(asked.params["period1"]), int(asked.params["period2"]))
            for asked in server.asked
            if "period1" in asked.params
        ]
    assert windows[0][0] >= (now - timedelta(days=back)).timestamp()
    assert windows[0][0] <= (now - timedelta(days=back - 1)).timestamp()
    assert windows[-1][1] == int(now.timestamp())
    assert all(end - start <= most * 86_400 for start, end in windows)
    assert [end for _, end in windows[:-1]] == [start for start, _ in windows[1:]]
    [sentence] = yahoo.told.sentences("skipped")
    assert f"keeps bars of {interval} for {back} days" in sentence


def test_what_yahoo_never_has_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with yahoo_server(charts(RECORDED)) as server:
        yahoo = Yahoo(server, tmp_path)
        for request in (
            {"interval": "1m", "start": long_ago, "end": long_ago + timedelta(days=1)},
            {"interval": "2m"},
            {"what": "news"},
            {"options": {"adjusted": "true"}},
        ):
            with pytest.raises(RequestError):
                yahoo.ask(**request)
        assert server.asked == []


def test_a_delisted_symbol_and_an_empty_window_are_told_and_the_others_come(
    tmp_path: Path,
) -> None:
    def answer(asked: Any) -> Reply:
        symbol = asked.path.rpartition("/")[2]
        return Reply({"GONE": DELISTED, "MU": EMPTY, "FAR": TOO_FAR_BACK}.get(symbol, RECORDED))

    with yahoo_server(answer) as server:
        yahoo = Yahoo(server, tmp_path)
        messages = yahoo.ask("GONE", "MU", "FAR", "AAPL", interval="5m")
    assert [message.key for message in messages] == [b"AAPL"]
    gone, empty, far = yahoo.told.sentences("skipped")
    assert "does not know GONE (No data found, symbol may be delisted)" in gone
    assert "no bars of 5m for MU" in empty
    assert "no bars of 5m for FAR" in far


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Reply(b"Too Many Requests", 429), "takes no more questions for now (429)"),
        (Reply({"finance": {"error": {"code": "internal-error"}}}, 503), "HTTP 503"),
        (Reply(b"<html>Will be right back...</html>"), "says that it is down"),
        (Reply(b'{"chart": {"result": [{"meta"'), "not JSON"),
        (Reply(RECORDED, cut_at=200), "gave no whole answer"),
        (Reply(RECORDED, cut_at=0), "gave no whole answer"),
        (Reply({"chart": {"result": [{"timestamp": [1]}], "error": None}}), "does not read"),
    ],
)
def test_what_passes_is_waited_for_in_sight_and_what_stays_is_an_error(
    tmp_path: Path, failure: Reply, words: str
) -> None:
    # yfinance itself asks twice where the status is an error.
    with yahoo_server(charts(failure, failure, RECORDED)) as server:
        yahoo = Yahoo(server, tmp_path / "a")
        messages = yahoo.ask(interval="5m")
        waits = yahoo.told.sentences("wait")
    assert picked(decoded(messages, "bar"), FIRST_BAR) == [FIRST_BAR]
    assert waits
    assert all(words in sentence for sentence in waits)
    with yahoo_server(charts(failure)) as server:
        yahoo = Yahoo(server, tmp_path / "b")
        with pytest.raises(UnavailableError) as caught:
            yahoo.ask(interval="5m")
    assert words in str(caught.value)
    assert "asked 3 times for AAPL" in str(caught.value)


def test_words_in_place_of_the_crumb_are_not_taken_for_one(tmp_path: Path) -> None:
    with yahoo_server(charts(RECORDED), crumbs=[b"Too Many Requests\r\n"]) as server:
        yahoo = Yahoo(server, tmp_path)
        messages = yahoo.ask(interval="5m") + yahoo.ask(interval="5m")
        asked = [a.params.get("crumb") for a in server.asked if "/chart/" in a.path]
    assert picked(decoded(messages, "bar"), FIRST_BAR) == [FIRST_BAR]
    # Charts are given without one, and the next question has one.
    assert asked[0] is None
    assert set(asked[1:]) == {"cRuMb"}


def test_a_timestamp_with_429_in_it_is_no_limit(tmp_path: Path) -> None:
    start = 1791042900
    assert "429" in str(start)
    answer = chart(
        [start], [(1, 2, 1, 2, 429)], market_time=start + 429, regular=(start, start + 23_400)
    )
    with yahoo_server(charts(answer)) as server:
        yahoo = Yahoo(server, tmp_path)
        assert len(yahoo.ask(interval="5m", options={"prepost": "true"})) == 1
    assert yahoo.told.notices == []


def test_a_silent_server_is_left_in_time(tmp_path: Path) -> None:
    with yahoo_server(charts(Reply(hang=True))) as server:
        yahoo = Yahoo(server, tmp_path, answer_timeout_seconds=0.3, attempts=1)
        with pytest.raises(UnavailableError, match="Timeout"):
            yahoo.ask(interval="5m")


def test_the_quota_of_requests_is_kept(tmp_path: Path) -> None:
    with yahoo_server(charts(RECORDED)) as server:
        yahoo = Yahoo(server, tmp_path, requests_per_day=4)
        with pytest.raises(SourceError, match="takes no more requests"):
            yahoo.ask("AAPL", "MSFT", "GOOG", interval="5m")
    assert len(server.asked) == 4


def test_the_check_says_what_answers(tmp_path: Path) -> None:
    with yahoo_server(charts(RECORDED)) as server:
        assert "AAPL has a bar of 2026-10-05" in Yahoo(server, tmp_path).source.check()
