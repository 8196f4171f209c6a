"""The demo of the original systems, in the words of docs/sources.md."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stock_pipeline.cli import app
from stock_pipeline.settings import Settings, load_settings, project_root
from stock_pipeline.sources import jobs
from stock_pipeline_tests.commands.producing import alpha_vantage_at, running, stopped, stored
from stock_pipeline_tests.sources import alpha_vantage_payloads as payloads
from stock_pipeline_tests.sources.vendor_server import VendorServer, vendor
from stock_pipeline_tests.support.sample_data import INDICES, needs_indices
from stock_pipeline_tests.support.stack import SettingsFor
from stock_pipeline_tests.support.waiting import until

FEEDS = {
    "stock-data-stream": {"format": "alpha_vantage_intraday"},
    "my_prices": {"format": "index_daily"},
    "stock_live_feed": {"format": "trade"},
}
DOCUMENTED = (project_root() / "docs" / "sources.md").read_text(encoding="utf-8")
#: The test's second: the words stay.
SHORT_SECOND = 0.02


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


def words(source: str) -> list[str]:
    """The documented command of a demo, without the name of the program."""
    lines = [line for line in DOCUMENTED.splitlines() if f"--source {source} " in line]
    command = next(line for line in lines if line.startswith("stock-pipeline produce"))
    return shlex.split(command)[1:]


def test_two_batches_per_symbol_every_30_seconds_go_to_stock_data_stream(
    settings: Settings, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = words("alpha_vantage")
    assert command == shlex.split(
        "produce --source alpha_vantage --feed stock-data-stream --symbols IBM,MSFT,AAPL"
        " --interval 30s --batches 2"
    )
    monkeypatch.setitem(jobs._SECONDS, "s", SHORT_SECOND)
    began = datetime.now(UTC)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert datetime.now(UTC) - began >= timedelta(seconds=30 * SHORT_SECOND)
    assert "6 messages of alpha_vantage delivered" in result.output
    records = stored(settings, "stock-data-stream")
    assert [r.key for r in records] == [b"IBM", b"MSFT", b"AAPL"] * 2
    assert [json.loads(r.value) for r in records] == [
        payloads.intraday(symbol) for symbol in ("IBM", "MSFT", "AAPL")
    ] * 2


@pytest.mark.parametrize("feed", ["stock-data-stream", "stock_live_feed"])
def test_the_shipped_topics_have_the_names_of_the_demo(feed: str) -> None:
    shipped = project_root() / "config" / "app_config.yaml"
    assert load_settings(shipped, Path("absent"), {}).feeds[feed].topic == feed


@needs_indices
def test_random_rows_of_the_indices_go_to_a_feed_of_the_users_name(
    settings: Settings, tmp_path: Path
) -> None:
    command = words("csv")
    assert command[:5] == ["produce", "--source", "csv", "--file", "indexProcessed.csv"]
    assert command[5:] == ["--sample", "--interval", "1s", "--feed", "my_prices"]
    (tmp_path / "indexProcessed.csv").symlink_to(INDICES)
    began = datetime.now(UTC)
    said = until_stopped(command, tmp_path, settings, "my_prices", 4)
    took = datetime.now(UTC) - began
    records = stored(settings, "my_prices")
    assert f"{len(records)} messages of csv delivered" in said
    # One a second, not as fast as possible.
    assert len(records) <= took.total_seconds() + 1
    with INDICES.open(encoding="utf-8") as file:
        rows = {(row["Index"], row["Date"]): row for row in csv.DictReader(file)}
    found = [json.loads(record.value) for record in records]
    assert all(float(rows[f["Index"], f["Date"]]["Close"]) == float(f["Close"]) for f in found)
    assert len({(f["Index"], f["Date"]) for f in found}) > 1


def test_simulated_prices_go_to_stock_live_feed_without_end(
    settings: Settings, tmp_path: Path
) -> None:
    command = words("simulator")
    assert command == shlex.split("produce --source simulator --feed stock_live_feed")
    said = until_stopped(command, tmp_path, settings, "stock_live_feed", 30)
    found: list[dict[str, Any]] = [
        json.loads(record.value) for record in stored(settings, "stock_live_feed")
    ]
    assert f"{len(found):,} messages of simulator delivered" in said
    times = [datetime.fromisoformat(trade["time"]) for trade in found]
    assert timedelta(0) < max(times) - min(times) < timedelta(minutes=5)
    assert all(trade["price"] > 0 for trade in found)


def until_stopped(
    command: list[str], folder: Path, settings: Settings, feed: str, records: int
) -> str:
    """Run it in the folder until the topic has so many records, end it by Ctrl-C; what it said."""
    with running(*command[1:], folder=folder) as process:
        until(lambda: len(stored(settings, feed)) >= records, f"{records} records")
        return stopped(process)
