"""`stock-pipeline produce` in tests: run, ended as a user ends it, and what the topic holds."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.settings import Settings
from stock_pipeline_tests.sources import alpha_vantage_payloads as payloads
from stock_pipeline_tests.sources.vendor_server import VendorServer


def alpha_vantage_at(
    server: VendorServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The section `sources`: Alpha Vantage is this server, with pauses that a test does not feel.

    A busy machine may be late with an answer, which counts: patience is for a minute.
    """
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(home))
    monkeypatch.setenv("STOCK_PIPELINE__SOURCES__ALPHA_VANTAGE__API_KEY", payloads.KEY)
    own = {"base_url": server.url, "requests_per_second": 50, "requests_per_day": 25}
    return {"alpha_vantage": own | {"pause_seconds": 0.05, "answer_timeout_seconds": 60}}


def stored(settings: Settings, feed: str) -> list[Any]:
    """Every record of the feed's topic, in order."""
    from kafka import KafkaConsumer, TopicPartition

    place = TopicPartition(settings.feeds[feed].topic, 0)
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    consumer.assign([place])
    end = consumer.end_offsets([place])[place]
    found: list[Any] = []
    while consumer.position(place) < end:
        for batch in consumer.poll(timeout_ms=500).values():
            found += batch
    consumer.close()
    return found


@contextmanager
def running(*arguments: str, folder: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A `produce` as a process of its own, which is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "stock_pipeline", "produce", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stopped(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """End it as Ctrl-C does; what it said."""
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said
