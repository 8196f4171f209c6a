from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stock_pipeline.cli import app
from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.settings import Settings
from stock_pipeline_tests.support.stack import SettingsFor

FEEDS = {
    "live": {"format": "trade", "partitions": 2},
    "daily": {"format": "index_daily"},
}

runner = CliRunner()


def count(settings: Settings, feed: str) -> int:
    control = KafkaControl(settings.kafka)
    try:
        topic = control.topic_offsets([settings.feeds[feed].topic])[settings.feeds[feed].topic]
    finally:
        control.close()
    assert topic is not None
    return sum(partition.end for partition in topic.partitions.values())


@pytest.fixture
def settings(broker: str, settings_for: SettingsFor) -> Settings:
    return settings_for(FEEDS)


def test_simulate_sends_history_then_live_trades(settings: Settings) -> None:
    result = runner.invoke(
        app,
        [
            "simulate",
            "--feed",
            "live",
            "--history-hours",
            "0.1",
            "--history-rate",
            "50",
            "--duration",
            "1",
        ],
    )
    assert result.exit_code == 0, result.output
    assert "History sent" in result.output
    assert count(settings, "live") == pytest.approx(0.1 * 3600 * 50, rel=0.1)


def test_simulate_without_history_sends_only_what_happens_now(settings: Settings) -> None:
    began = time.monotonic()
    result = runner.invoke(
        app, ["simulate", "--feed", "live", "--rate", "100", "--duration", "1", "--symbols", "A,B"]
    )
    took = time.monotonic() - began
    assert result.exit_code == 0, result.output
    # What a busy machine held up comes later, and some trades come twice.
    assert 10 < count(settings, "live") < 100 * 1.2 * took


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_simulate_ends_in_order_when_asked_to(settings: Settings, number: int) -> None:
    code = (
        "import typer; from stock_pipeline.commands.simulate import simulate; typer.run(simulate)"
    )
    arguments = ["--feed", "live", "--rate", "200"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as process:
        try:
            assert process.stderr is not None
            assert "Live" in process.stderr.readline()
            process.send_signal(number)
            assert "delivered to topic" in process.stderr.read()
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_replay_sends_the_packaged_prices(settings: Settings) -> None:
    result = runner.invoke(app, ["replay", "sample", "--feed", "daily"])
    assert result.exit_code == 0, result.output
    assert "1,509 messages delivered" in result.output
    assert count(settings, "daily") == 1509


def test_replay_keeps_a_rate_and_a_limit(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text("symbol,time,price,size\n" + "A,1763650800,1,1\n" * 50, encoding="utf-8")
    result = runner.invoke(
        app, ["replay", str(file), "--feed", "live", "--rate", "100", "--limit", "30"]
    )
    assert result.exit_code == 0, result.output
    assert count(settings, "live") == 30
    sampled = runner.invoke(
        app,
        [
            "replay",
            str(file),
            "--feed",
            "live",
            "--sample",
            "--limit",
            "80",
            "--as-fast-as-possible",
        ],
    )
    assert sampled.exit_code == 0, sampled.output
    assert count(settings, "live") == 110


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["simulate", "--feed", "daily"], "no feed of format trade"),
        (["simulate", "--feed", "nothing"], "no feed of format trade"),
        (["replay", "sample", "--feed", "nothing"], "no feed 'nothing'"),
        (["replay", "sample", "--feed", "live"], "format index_daily"),
        (["replay", "missing.csv", "--feed", "live"], "cannot be read"),
        (
            ["replay", "sample", "--feed", "daily", "--rate", "1", "--as-fast-as-possible"],
            "not both",
        ),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    settings: Settings, arguments: list[str], sentence: str
) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert sentence in result.output
