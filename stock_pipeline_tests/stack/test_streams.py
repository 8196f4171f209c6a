"""Streams of the settings under `stock-pipeline dev`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stock_pipeline.commands.dev_overview import stream_line
from stock_pipeline.settings.sections.sources import StreamSettings
from stock_pipeline.stack.local import LocalStack
from stock_pipeline.stack.ports import LOOPBACK
from stock_pipeline.stack.processes import ProcessSpec
from stock_pipeline.stack.streams import described, stream_process
from stock_pipeline.stack.supervisor import Supervisor
from stock_pipeline_tests.sources.stream_vendor import stream_vendor
from stock_pipeline_tests.support.dev import read_until
from stock_pipeline_tests.support.processes import SLEEP, runs
from stock_pipeline_tests.support.stack import SettingsFor
from stock_pipeline_tests.support.waiting import until

FEEDS = {
    "live": {"topic": "live", "format": "trade", "source": "live", "calendar": "24/7"},
    "daily": {"topic": "daily", "format": "index_daily", "source": "daily"},
}
ROW = "Index,Date,Open,High,Low,Close,Volume\nHSI,2021-05-01,1,2,1,1,0\n"


def test_a_stream_is_a_produce_with_its_settings() -> None:
    stream = StreamSettings(
        source="massive", feed="live", symbols=("-A", "B"), interval="30s", options={"x": "y"}
    )
    spec = stream_process("us", stream, {})
    assert list(spec.command)[3:] == [  # type: ignore[arg-type]
        "produce",
        "--source=massive",
        "--feed=live",
        "--symbols=-A,B",
        "--interval=30s",
        "--option=x=y",
    ]
    assert spec.name == "stream-us"
    assert described("us", stream) == "us: massive to live (-A, B), every 30s"


def test_what_cannot_be_done_is_told_once_and_not_tried_again(tmp_path: Path) -> None:
    notices: list[str] = []
    supervisor = Supervisor(tmp_path, notices.append)
    end = "print('The key is not known.'); raise SystemExit(2)"
    command = [sys.executable, "-c", end]
    supervisor.start(ProcessSpec("stream-us", command, final_codes=frozenset({2})))
    until(lambda: not supervisor.is_alive("stream-us"), "the stream's end")
    for _ in range(3):
        supervisor.check()
    assert notices == ["stream-us ended and is not started again: The key is not known."]
    assert not supervisor.has_succeeded("stream-us")
    supervisor.stop_all()


def test_the_status_line_counts_streams_and_names_those_that_do_not_run(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    both = {n: {"source": "simulator", "feed": "trades"} for n in ("one", "two")}
    stack = LocalStack(settings_for(), tmp_path)
    assert stream_line(stack) == ""
    stack = LocalStack(settings_for(streams=both), tmp_path)
    try:
        stack.supervisor.start(ProcessSpec("stream-one", SLEEP))
        assert stream_line(stack) == " | 1 of 2 streams run, not two"
        stack.supervisor.start(ProcessSpec("stream-two", SLEEP))
        assert stream_line(stack) == " | 2 of 2 streams run"
    finally:
        stack.stop()


@pytest.mark.integration
def test_dev_runs_streams_starts_them_again_and_tells_which_cannot_run(
    start_dev,
    ports,
    home,
    tmp_path: Path,
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(ROW, encoding="utf-8")
    with stream_vendor(401) as vendor:
        config = tmp_path / "config.yaml"
        settings = {
            "feeds": FEEDS,
            "simulator": {"feed": "live"},
            "sources": {"finnhub": {"stream_url": vendor.url}},
            "streams": {
                "market": {"source": "simulator", "feed": "live", "symbols": ["SIM-A"]},
                "rows": {"source": "csv", "feed": "daily", "options": {"file": str(file)}},
                "refused": {"source": "finnhub", "feed": "live", "symbols": ["A"]},
                "keyless": {"source": "massive", "feed": "live", "symbols": ["A"]},
            },
        }
        config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        dev = start_dev(
            "--no-dagster",
            "--no-simulator",
            STOCK_PIPELINE_CONFIG=str(config),
            STOCK_PIPELINE__SOURCES__FINNHUB__API_KEY="secret-key",
            COLUMNS="200",
        )
        read_until(dev, "Stream keyless was not started. Source massive needs a key")
        read_until(dev, "market: simulator to live (SIM-A)")
        read_until(dev, "keyless: massive to live (A); does not run")
        read_until(dev, "stream-refused ended and is not started again: Finnhub answered 401")
        assert len(vendor.requests) == 1

        child = running_stream(dev.pid)
        os.kill(child, signal.SIGKILL)
        read_until(dev, "stream-market was started again")
        until(lambda: ends(ports["kafka"], "daily") == 1, "the daily record")
        before = ends(ports["kafka"], "live")
        until(lambda: ends(ports["kafka"], "live") > before, "more live records")

        child = running_stream(dev.pid)
        dev.send_signal(signal.SIGINT)
        assert dev.wait(60) == 0
        assert not runs(child)
    said = (home / "logs" / "stream-market.log").read_text()
    assert "messages of simulator delivered to topic live" in said


def running_stream(dev: int) -> int:
    """Process id of the stream `market`, once it runs."""

    def look() -> list[int]:
        command = ["pgrep", "-P", str(dev), "-f", "produce --source=simulator"]
        pids = subprocess.run(command, capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in pids]

    return until(look, "the stream's process")[0]


def ends(port: int, topic: str) -> int:
    """Records in the topic."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=f"{LOOPBACK}:{port}")
    place = TopicPartition(topic, 0)
    end = consumer.end_offsets([place])[place]
    consumer.close()
    return int(end)
