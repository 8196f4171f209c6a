"""`produce` from a vendor's server, through the real client and broker, into a topic."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stock_pipeline.cli import app
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.sources.registry import SOURCES
from stock_pipeline.stack.local import LocalStack
from stock_pipeline_tests.commands.producing import alpha_vantage_at, running, stopped, stored
from stock_pipeline_tests.sources import alpha_vantage_payloads as payloads
from stock_pipeline_tests.sources.vendor_server import Reply, VendorServer, vendor
from stock_pipeline_tests.support.stack import SettingsFor
from stock_pipeline_tests.support.waiting import until

FEEDS = {
    "documents": {"format": "alpha_vantage_intraday"},
    "daily": {"format": "index_daily"},
    "live": {"format": "trade"},
}
DOCUMENT = json.dumps(payloads.intraday("IBM")).encode()
ROWS = "Index,Date,Open,High,Low,Close,Volume\n" + "".join(
    f"HSI,2021-05-{day:02},1,2,1,{day},0\n" for day in range(1, 11)
)
DOCUMENTS = ["--source", "alpha_vantage", "--feed", "documents"]
ALPHA_VANTAGE = "STOCK_PIPELINE__SOURCES__ALPHA_VANTAGE"
runner = CliRunner()


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor(payloads.answer) as started:
        yield started


@pytest.fixture
def settings(
    broker: str,
    settings_for: SettingsFor,
    server: VendorServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    return settings_for(FEEDS, sources=alpha_vantage_at(server, tmp_path / "home", monkeypatch))


def produce(*arguments: str, source: str = "alpha_vantage", feed: str = "documents") -> Any:
    result = runner.invoke(app, ["produce", "--source", source, "--feed", feed, *arguments])
    assert "Traceback" not in result.output
    assert payloads.KEY not in result.output
    return result


def test_two_batches_per_symbol_go_to_the_topic_as_they_came(settings: Settings) -> None:
    result = produce("--symbols", "IBM,MSFT", "--interval", "0.1s", "--batches", "2")
    assert result.exit_code == 0, result.output
    assert "4 messages of alpha_vantage delivered" in result.output
    found = stored(settings, "documents")
    assert [record.key for record in found] == [b"IBM", b"MSFT"] * 2
    assert found[0].value == DOCUMENT
    headers = [dict(record.headers) for record in found]
    assert all(h["source"] == b"alpha_vantage" and h["schema_version"] == b"1" for h in headers)
    ids = [h["fetch_id"] for h in headers]
    assert ids[0] == ids[1] != ids[2] == ids[3]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(status=429, headers={"Retry-After": "0"}), "answered 429, too many requests"),
        (Reply(status=503), "answered 503"),
        (Reply(payloads.PER_SECOND), "asked more than once a second"),
        (Reply(payloads.BURST), "asked more than once a second"),
        (Reply(payloads.PER_MINUTE), "asked too often in a minute"),
        (Reply(hang=True), "gave no whole answer within 1 s"),
        (Reply(DOCUMENT, cut_at=100), "cut the connection before its answer was whole"),
        (Reply(DOCUMENT[:-2]), "that are not JSON"),
    ],
)
def test_what_passes_is_told_and_every_document_arrives_once(
    settings: Settings,
    server: VendorServer,
    reply: Reply,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stock_pipeline.sources.vendors.alpha_vantage._MINUTE_SECONDS", 0.05)
    if reply.hang:
        monkeypatch.setenv(f"{ALPHA_VANTAGE}__ANSWER_TIMEOUT_SECONDS", "1")
        get_settings.cache_clear()
    server.script = [reply]
    result = produce("--symbols", "IBM,MSFT", "--batches", "1")
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if sentence in line]
    assert [r.key for r in stored(settings, "documents")] == [b"IBM", b"MSFT"]


@pytest.mark.parametrize(
    ("reply", "sentence", "code"),
    [
        (Reply(payloads.PER_DAY), "takes no more requests of this key today; the next may be", 1),
        (Reply(payloads.PREMIUM_ENDPOINT), "to paying customers only", 2),
        (Reply(payloads.PREMIUM_FEATURE), "to paying customers only", 2),
        (Reply(payloads.BAD_KEY), "does not know the key", 2),
        (Reply(payloads.UNKNOWN), "dear ***.", 1),
    ],
)
def test_what_does_not_pass_ends_it_with_one_sentence(
    settings: Settings, server: VendorServer, reply: Reply, sentence: str, code: int
) -> None:
    server.script = [Reply(DOCUMENT), reply]
    result = produce("--symbols", "IBM,MSFT", "--batches", "1")
    assert result.exit_code == code, result.output
    assert len([line for line in result.output.splitlines() if sentence in line]) == 1
    assert "1 messages of alpha_vantage delivered" in result.output
    assert [r.value for r in stored(settings, "documents")] == [DOCUMENT]


@pytest.mark.parametrize(
    ("symbol", "sentence"), [("BAD", "does not know BAD"), ("EMPTY", "has nothing for EMPTY")]
)
def test_a_symbol_without_data_is_told_and_the_others_arrive(
    settings: Settings, symbol: str, sentence: str
) -> None:
    result = produce("--symbols", f"{symbol},IBM", "--batches", "1")
    assert result.exit_code == 0, result.output
    assert sentence in result.output
    assert [r.key for r in stored(settings, "documents")] == [b"IBM"]
    assert produce("--symbols", symbol, "--batches", "1").exit_code == 1


def test_a_round_in_which_the_vendor_is_away_is_told_and_the_next_goes_on(
    settings: Settings, server: VendorServer
) -> None:
    server.script = [Reply(status=500)] * 5
    result = produce("--symbols", "IBM", "--interval", "0.1s", "--batches", "2")
    assert result.exit_code == 1
    told = [line for line in result.output.splitlines() if "at the last of 5 tries" in line]
    assert len(told) == 1
    assert "In 1 of 2 rounds alpha_vantage could not be asked" in result.output
    assert [r.value for r in stored(settings, "documents")] == [DOCUMENT]


def test_the_quota_of_the_day_holds_over_processes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{ALPHA_VANTAGE}__REQUESTS_PER_DAY", "3")
    both = [*DOCUMENTS, "--symbols", "A,B", "--batches", "1"]
    with running(*both) as first, running(*both) as second:
        said = [process.communicate(timeout=60)[1] for process in (first, second)]
    ended = list(zip((first.returncode, second.returncode), said, strict=True))
    assert sorted(code for code, _ in ended) == [0, 1], ended
    assert any("takes no more requests of this key today" in sentences for sentences in said)
    assert len(stored(settings, "documents")) == 3


def test_a_broker_that_restarts_costs_nothing_and_a_signal_ends_it_in_order(
    settings: Settings,
    server: VendorServer,
    local_stack: LocalStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{ALPHA_VANTAGE}__REQUESTS_PER_DAY", "10000")
    with running(*DOCUMENTS, "--symbols", "IBM", "--interval", "0.2s") as process:
        until(lambda: len(server.asked) > 2, "the first rounds")
        local_stack.supervisor.stop("kafka")
        before = len(server.asked)
        until(lambda: len(server.asked) > before + 2, "rounds without a broker")
        local_stack.start_broker()
        before = len(stored(settings, "documents"))
        until(lambda: len(stored(settings, "documents")) > before + 2, "messages after the restart")
        said = stopped(process, signal.SIGTERM)
    found = [dict(r.headers)["fetch_id"] for r in stored(settings, "documents")]
    assert len(found) == len(set(found))
    assert f"{len(found):,} messages of alpha_vantage delivered" in said
    # The request at which the signal came may be in vain, and one more that was late.
    assert len(server.asked) - 2 <= len(found) <= len(server.asked)


def test_rows_of_a_file_come_in_order(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(ROWS, encoding="utf-8")
    result = produce("--file", str(file), source="csv", feed="daily")
    assert result.exit_code == 0, result.output
    closes = [json.loads(r.value)["Close"] for r in stored(settings, "daily")]
    assert closes == list(range(1, 11))


def test_random_rows_come_one_by_one_to_a_topic_of_any_name(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(ROWS, encoding="utf-8")
    arguments = ["--file", str(file), "--sample", "--interval", "0.02s"]
    arguments += ["--option", "limit=15", "--option", "seed=3"]
    topic = ["--topic", settings.feeds["daily"].topic]
    result = runner.invoke(app, ["produce", "--source", "csv", *topic, *arguments])
    assert result.exit_code == 0, result.output
    closes = [json.loads(r.value)["Close"] for r in stored(settings, "daily")]
    assert len(closes) == 15
    assert closes != sorted(closes)


def test_the_simulated_market_runs_until_stopped(settings: Settings) -> None:
    with running("--source", "simulator", "--feed", "live", "--symbols", "A,B") as process:
        until(lambda: {r.key for r in stored(settings, "live")} == {b"A", b"B"}, "trades of both")
        stopped(process)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source", "alpha_vantag", "--feed", "documents"], "did you mean alpha_vantage?"),
        (["--source", "alpha_vantage", "--feed", "nothing"], "no feed 'nothing'"),
        (["--source", "alpha_vantage"], "--feed or --topic, one of them"),
        (["--source", "alpha_vantage", "--feed", "documents"], "needs --symbols"),
        (["--source", "alpha_vantage", "--feed", "live"], "takes messages of format trade"),
        (
            ["--source", "alpha_vantage", "--feed", "documents", "--what", "news"],
            "not news of alpha_vantage",
        ),
        (["--source", "simulator", "--feed", "live", "--batches", "2"], "leave out --batches"),
        (["--source", "simulator", "--feed", "live", "--interval", "1y"], "such as 30s"),
        (["--source", "simulator", "--feed", "live", "--interval", "1s"], "leave out --interval"),
        (["--source", "csv", "--feed", "daily", "--end", "2026-01-05"], "takes no end for rows"),
        (["--source", "csv", "--feed", "daily"], "needs file"),
        (["--source", "csv", "--feed", "daily", "--file", "none.csv"], "cannot be read"),
        (["--source", "csv", "--feed", "daily", "--option", "x"], "takes name=value"),
        (["--source", "csv", "--feed", "daily", "--start", "soon"], "is no UTC time"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    settings: Settings, arguments: Sequence[str], sentence: str
) -> None:
    result = runner.invoke(app, ["produce", *arguments])
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_all_keys_are_checked_by_one_command(
    settings: Settings, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(SOURCES) - {"alpha_vantage", "csv"}:
        monkeypatch.delitem(SOURCES, name)
    listed = runner.invoke(app, ["sources"], env={"COLUMNS": "200"})
    assert "bars, quote, news" in listed.output
    assert server.asked == []
    assert runner.invoke(app, ["sources", "--check"]).exit_code == 0
    server.script = [Reply(payloads.BAD_KEY)]
    result = runner.invoke(app, ["sources", "--check"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "does not know the key" in result.output


def test_a_missing_key_says_where_to_put_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stock_pipeline.settings import get_settings

    monkeypatch.delenv("STOCK_PIPELINE__SOURCES__ALPHA_VANTAGE__API_KEY")
    get_settings.cache_clear()
    result = produce("--symbols", "IBM")
    assert result.exit_code == 2
    assert "Set STOCK_PIPELINE__SOURCES__ALPHA_VANTAGE__API_KEY in .env" in result.output
