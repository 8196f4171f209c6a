"""`produce` for every source against its vendor's server: each message in the topic once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stock_pipeline.cli import app
from stock_pipeline.settings import Settings
from stock_pipeline.stack.local import LocalStack
from stock_pipeline_tests.commands.producing import running, stopped, stored
from stock_pipeline_tests.sources import test_finnhub as finnhub
from stock_pipeline_tests.sources import test_massive as massive
from stock_pipeline_tests.sources import test_massive_stream as massive_stream
from stock_pipeline_tests.sources import test_yahoo as yahoo
from stock_pipeline_tests.sources.stream_vendor import Line, stream_vendor
from stock_pipeline_tests.sources.vendor_server import Asked, Reply, vendor
from stock_pipeline_tests.sources.yahoo_server import DELISTED, EMPTY, chart, charts, yahoo_server
from stock_pipeline_tests.support.stack import SettingsFor
from stock_pipeline_tests.support.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")

BARS, TRADES, DAILY = {"format": "bar"}, {"format": "trade"}, {"format": "index_daily"}
FEEDS = {"bars": BARS, "trades": TRADES}
#: A busy machine may be late with an answer; that must not count as a fault of the vendor.
FAST = {"pause_seconds": 0.05, "longest_pause_seconds": 0.1, "answer_timeout_seconds": 60}
KEYS = {"massive": massive.KEY, "finnhub": finnhub.KEY}
FIVE_MINUTES = 300
#: Where the vendor does not answer.
IMPATIENT = {"answer_timeout_seconds": 1}
runner = CliRunner()

Address = Callable[..., Settings]


@pytest.fixture
def vendors(
    broker: str, settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Address:
    """`vendors(massive={"base_url": ...})`: settings in which the vendors are at these servers."""
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    for name, key in KEYS.items():
        monkeypatch.setenv(f"STOCK_PIPELINE__SOURCES__{name.upper()}__API_KEY", key)

    def settings(feeds: dict[str, Any] | None = None, **sources: dict[str, Any]) -> Settings:
        quotas = {"requests_per_second": 100, "requests_per_minute": 6000}
        given = {name: {**FAST, **quotas, **own} for name, own in sources.items()}
        return settings_for(feeds or FEEDS, sources=given)

    return settings


def produce(source: str, feed: str, *arguments: str) -> tuple[int, str]:
    """Exit code, and all that the user sees."""
    result = runner.invoke(app, ["produce", "--source", source, "--feed", feed, *arguments])
    seen(result.output)
    return result.exit_code, result.output


def seen(output: str) -> None:
    assert "Traceback" not in output
    for key in KEYS.values():
        assert key not in output


def values(settings: Settings, feed: str) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in stored(settings, feed)]


def counted(settings: Settings, feed: str, *names: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(value[name] for name in names) for value in values(settings, feed))


MASSIVE = ["--symbols", "AAPL,MSFT", "--bar", "1m", "--batches", "1"]
MASSIVE += ["--start", "2020-01-02", "--end", "2020-01-04"]
YAHOO = ["--symbols", "AAPL,MSFT", "--bar", "5m", "--batches", "1"]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(massive.TOO_OFTEN, 429, {"Retry-After": "0"}), "answered 429, too many requests"),
        (Reply(massive.TOO_OFTEN), "exceeded the maximum requests per minute"),
        (Reply(status=502), "answered 502"),
        (Reply(hang=True), "gave no whole answer within 1 s"),
        (Reply(massive.RECORDED, cut_at=100), "cut the connection before its answer was whole"),
        (Reply(b'{"status": "OK", "resul'), "that are not JSON"),
    ],
)
def test_massive_what_passes_is_told_and_each_bar_arrives_once(
    vendors: Address, reply: Reply, sentence: str
) -> None:
    following = "https://api.massive.com/v2/aggs/next?cursor=2"
    first = massive.bars(1577941200000, next_url=following)
    with vendor(
        lambda a: Reply(massive.bars(1577941260000) if a.params.get("cursor") else first)
    ) as server:
        server.script = [reply, Reply(first), reply]
        settings = vendors(massive={"base_url": server.url, **(IMPATIENT if reply.hang else {})})
        code, said = produce("massive", "bars", *MASSIVE)
    assert code == 0, said
    told = len([line for line in said.splitlines() if sentence in line])
    # A busy machine may be late with another answer, which is told as the two that hang.
    assert 2 <= told <= 6 if reply.hang else told == 2
    assert counted(settings, "bars", "symbol", "start") == {
        (symbol, start): 1
        for symbol in ("AAPL", "MSFT")
        for start in ("2020-01-02T05:00:00+00:00", "2020-01-02T05:01:00+00:00")
    }


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(b"Too Many Requests", 429), "takes no more questions for now (429)"),
        (Reply(status=503), "HTTP 503"),
        (Reply(hang=True), "gave no whole answer (Timeout"),
        (Reply(yahoo.RECORDED, cut_at=200), "gave no whole answer"),
        (Reply(b'{"chart": {"result": [{"meta"'), "answered something that is not JSON"),
    ],
)
def test_yahoo_what_passes_is_told_and_each_bar_arrives_once(
    vendors: Address, reply: Reply, sentence: str
) -> None:
    # yfinance itself asks twice where the status is an error.
    with yahoo_server(charts(reply, reply, yahoo.RECORDED)) as server:
        settings = vendors(yahoo={"base_url": server.url, **(IMPATIENT if reply.hang else {})})
        code, said = produce("yahoo", "bars", *YAHOO)
    assert code == 0, said
    assert [line for line in said.splitlines() if sentence in line]
    start = "2026-10-05T13:30:00+00:00"
    assert counted(settings, "bars", "symbol", "start") == {("AAPL", start): 1, ("MSFT", start): 1}


def test_symbols_without_data_are_told_and_the_others_arrive(vendors: Address) -> None:
    def chart_of(asked: Asked) -> Reply:
        symbol = asked.path.rpartition("/")[2]
        return Reply({"GONE": DELISTED, "MU": EMPTY}.get(symbol, yahoo.RECORDED))

    def bars_of(asked: Asked) -> Reply:
        return Reply(massive.NOTHING if "/MU/" in asked.path else massive.RECORDED)

    with yahoo_server(chart_of) as charts_server, vendor(bars_of) as bars_server:
        settings = vendors(
            yahoo={"base_url": charts_server.url}, massive={"base_url": bars_server.url}
        )
        code, said = produce(
            "yahoo", "bars", "--symbols", "GONE,MU,AAPL", "--bar", "5m", "--batches", "1"
        )
        assert code == 0, said
        assert "Yahoo does not know GONE (No data found, symbol may be delisted)." in said
        assert "Yahoo has no bars of 5m for MU in this time." in said
        assert "1 messages of yahoo delivered" in said
        assert "2 skipped, see above" in said
        code, said = produce("massive", "bars", "--symbols", "MU,AAPL", *MASSIVE[2:])
        assert code == 0, said
        assert "Massive has no bars of 1m for MU from 2020-01-02 00:00" in said
        assert produce("yahoo", "bars", "--symbols", "MU", "--batches", "1")[0] == 1
    assert [value["source"] for value in values(settings, "bars")] == ["yahoo", "massive"]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(massive.REFUSED), "plan doesn't include this data timeframe"),
        (Reply(massive.REFUSED, 403), "plan doesn't include this data timeframe"),
        (
            Reply({"status": "ERROR", "error": f"Unknown API Key {massive.KEY}"}, 401),
            "Massive does not accept the key: Unknown API Key ***",
        ),
    ],
)
def test_massive_what_does_not_pass_ends_it_with_one_sentence(
    vendors: Address, reply: Reply, sentence: str
) -> None:
    with vendor(lambda _: reply) as server:
        server.script = [Reply(massive.RECORDED)]
        settings = vendors(massive={"base_url": server.url})
        code, said = produce("massive", "bars", *MASSIVE)
        assert len(server.asked) == 2
    assert code == 2
    assert [line for line in said.splitlines() if sentence in line]
    assert "1 messages of massive delivered" in said
    assert [record.key for record in stored(settings, "bars")] == [b"AAPL"]


def test_massives_trades_come_once_through_refused_and_cut_connections(vendors: Address) -> None:
    at = massive_stream.minute

    def first(line: Line) -> None:
        massive_stream.log_in(line)
        line.send([massive_stream.trade(n, at(0) + n) for n in (1, 2)], "{", [])
        line.cut([massive_stream.trade(3, at(0) + 3)])

    then = massive_stream.plays([massive_stream.trade(n, at(0) + n) for n in (4, 5)])
    missed = [massive_stream.past_trade(n, at(0) + n) for n in (2, 3, 4)]
    with (
        stream_vendor(429, first, 503, then) as line,
        vendor(lambda _: Reply(massive.NOTHING)) as rest,
    ):
        rest.script = [Reply(massive.TOO_OFTEN), Reply({"status": "OK", "results": missed})]
        settings = vendors(massive={"base_url": rest.url, "stream_url": line.url})
        with running("--source", "massive", "--feed", "trades", "--symbols", "AAPL") as process:
            until(lambda: len(stored(settings, "trades")) >= 5, "all trades")
            said = stopped(process)
            seen(said)
    assert counted(settings, "trades", "trade_id") == {(str(n),): 1 for n in (1, 2, 3, 4, 5)}
    assert "5 messages of massive delivered" in said
    for sentence in (
        "answered 429 instead of opening a stream",
        "Massive sent 1 bytes that are not JSON",
        "Massive closed the connection; a new connection follows",
        "answered 503 instead of opening a stream",
        "exceeded the maximum requests per minute",
    ):
        assert sentence in said


def test_finnhubs_trades_come_once_through_every_fault(vendors: Address) -> None:
    gone = threading.Event()

    def cut(line: Line) -> None:
        line.hear()
        line.send(finnhub.PING, finnhub.RECORDED, "{", {"type": "trade", "data": []})
        line.cut(finnhub.trade(0))

    def silent(line: Line) -> None:
        line.hear()
        line.send(finnhub.trade(123))
        with line._connection.protocol_mutex:  # It answers no ping, as when the machine is gone.
            gone.wait(60)

    with stream_vendor(
        429, cut, finnhub.plays(finnhub.LIMIT), silent, finnhub.plays(finnhub.trade(124))
    ) as line:
        settings = vendors(finnhub={"stream_url": line.url, "answer_timeout_seconds": 9})
        with running("--source", "finnhub", "--feed", "trades", "--symbols", "TSLA") as process:
            try:
                until(lambda: len(stored(settings, "trades")) >= 5, "all trades")
            finally:
                gone.set()
            said = stopped(process)
            seen(said)
    found = [(value["price"], value["size"]) for value in values(settings, "trades")]
    assert found == [(122.09, 4), (122.09, 10), (122.1, 0.5), (123, 1), (124, 1)]
    for sentence in (
        "Finnhub answered 429 instead of opening a stream",
        "Finnhub sent 1 bytes that are not JSON",
        "Finnhub closed the connection; a new connection follows",
        "API limit reached. Please try again later",
        "did not come: the connection was away",
        "5 messages of finnhub delivered",
    ):
        assert sentence in said


@pytest.mark.parametrize(
    ("source", "play"),
    [
        ("finnhub", finnhub.plays({"type": "error", "msg": f"Invalid API key {finnhub.KEY}"})),
        ("finnhub", 401),
    ],
)
def test_a_stream_that_is_refused_ends_with_one_sentence(
    vendors: Address, source: str, play: Any
) -> None:
    with stream_vendor(play) as line:
        vendors(**{source: {"stream_url": line.url}})
        code, said = produce(source, "trades", "--symbols", "TSLA")
        assert len(line.requests) == 1
    assert code == 2
    assert len([s for s in said.splitlines() if "does not accept the key" in s]) == 1


def test_a_broker_restart_costs_no_source_a_message(
    vendors: Address, local_stack: LocalStack, tmp_path: Path
) -> None:
    """All at once: what they fetch meanwhile waits, and arrives once, in order."""
    growing = {"yahoo": 1, "massive": 1}
    over = threading.Event()

    def more_charts(asked: Asked) -> Reply:
        if asked.params.get("range") == "1d" and asked.params.get("interval") == "1d":
            return Reply(chart([0], [(1, 1, 1, 1, 1)], market_time=0, regular=(0, 1)))
        growing["yahoo"] += 1
        times = [yahoo.OPEN + n * FIVE_MINUTES for n in range(growing["yahoo"])]
        quotes = [(1.0, 2.0, 1.0, 2.0, n) for n in range(len(times))]
        return Reply(
            chart(times, quotes, market_time=times[-1], regular=(yahoo.OPEN, times[-1] + 86_400))
        )

    def more_bars(_: Asked) -> Reply:
        growing["massive"] += 1
        return Reply(massive.bars(*(1577941200000 + n * 60_000 for n in range(growing["massive"]))))

    def trades(line: Line) -> None:
        line.hear()
        price = 1
        while not over.wait(0.05):
            line.send(finnhub.trade(price))
            price += 1
        line.wait_for_end()

    file = tmp_path / "rows.csv"
    file.write_text(
        "Index,Date,Open,High,Low,Close,Volume\n"
        + "".join(f"HSI,2021-05-01,1,{n},1,{n},0\n" for n in range(1, 5000)),
        encoding="utf-8",
    )
    feeds = {
        "yahoo": BARS,
        "massive": BARS,
        "finnhub": TRADES,
        "simulator": TRADES,
        "csv": DAILY,
    }
    arguments = {
        "yahoo": [
            "--symbols",
            "AAPL",
            "--bar",
            "5m",
            "--interval",
            "0.2s",
            "--option",
            "prepost=true",
        ],
        "massive": ["--symbols", "AAPL", "--bar", "1m", "--interval", "0.2s"],
        "finnhub": ["--symbols", "TSLA"],
        "simulator": ["--symbols", "SIM-A"],
        "csv": ["--file", str(file), "--interval", "0.05s"],
    }
    with ExitStack() as servers, ExitStack() as processes:
        charts_server = servers.enter_context(yahoo_server(more_charts))
        bars_server = servers.enter_context(vendor(more_bars))
        line = servers.enter_context(stream_vendor(trades))
        servers.callback(over.set)
        settings = vendors(
            feeds,
            yahoo={"base_url": charts_server.url},
            massive={"base_url": bars_server.url},
            finnhub={"stream_url": line.url},
        )
        started = {
            source: processes.enter_context(
                running("--source", source, "--feed", source, *arguments[source])
            )
            for source in feeds
        }

        def delivered(more: int, before: dict[str, int]) -> bool:
            return all(len(stored(settings, s)) >= before.get(s, 0) + more for s in feeds)

        until(lambda: delivered(3, {}), "the first messages of all")
        local_stack.supervisor.stop("kafka")
        rounds = growing.copy()
        until(lambda: all(growing[s] > rounds[s] + 2 for s in growing), "rounds without a broker")
        local_stack.start_broker()
        before = {source: len(stored(settings, source)) for source in feeds}
        until(lambda: delivered(3, before), "messages after the restart")
        said = {source: stopped(process) for source, process in started.items()}
    for source, sentences in said.items():
        seen(sentences)
        found = [record.value for record in stored(settings, source)]
        assert len(found) == len(set(found)), source
        assert f"{len(found):,} messages of {source} delivered" in sentences
    # None is missing in between.
    starts = {source: counted(settings, source, "start") for source in ("yahoo", "massive")}
    for source, length in (("yahoo", 300), ("massive", 60)):
        assert len(starts[source]) == sum(starts[source].values())
        assert span(starts[source]) == (len(starts[source]) - 1) * length
    prices = [value["price"] for value in values(settings, "finnhub")]
    assert prices == list(range(1, len(prices) + 1))
    closes = [value["Close"] for value in values(settings, "csv")]
    assert closes == list(range(1, len(closes) + 1))


def span(times: Counter[tuple[Any, ...]]) -> float:
    """Seconds from the first to the last."""
    found = [datetime.fromisoformat(time) for (time,) in times]
    return (max(found) - min(found)).total_seconds()
