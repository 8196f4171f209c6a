"""From an event in Kafka to its row in bronze, in the pipeline as `make dev` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.figures import figure, tell
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import get_settings
from stock_pipeline.stack.ports import free_port

MINUTES = 2.5
#: The first batches hold the start and the history that the simulator sends at once.
WARM_UP_BATCHES = 4
BUDGET_SECONDS = 20


def latencies(lake: Lake, feed: str) -> list[float]:
    """Seconds between a record's Kafka timestamp and the commit of its batch, for each row."""
    seconds: list[float] = []
    for commit in list(OffsetLog(lake, feed).commits())[WARM_UP_BATCHES:]:
        table, _ = lake.read_table(commit.decision.object_key)
        arrived = table["kafka_timestamp"].to_numpy()
        waited = (np.datetime64(commit.committed_at) - arrived) / np.timedelta64(1, "s")
        seconds += waited.tolist()
    return seconds


def main() -> list[dict[str, object]]:
    """Median and 95th percentile over the rows of two and a half minutes."""
    with tempfile.TemporaryDirectory(prefix="stock_pipeline_bench_") as folder:
        os.environ["STOCK_PIPELINE_HOME"] = folder
        for part in ("KAFKA", "AWS", "DAGSTER"):
            os.environ[f"STOCK_PIPELINE__PORTS__{part}"] = str(free_port())
        get_settings.cache_clear()
        settings = get_settings()
        dev = subprocess.Popen(
            [sys.executable, "-m", "stock_pipeline", "dev"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(MINUTES * 60)
            seconds = latencies(Lake(settings.aws), settings.simulator.feed)
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait(90)
    p95 = round(float(np.percentile(seconds, 95)), 1)
    name = f"event in Kafka to row in bronze, p95 of {len(seconds):,} rows"
    return [figure(name, p95, "s", most=BUDGET_SECONDS)]


if __name__ == "__main__":
    tell(main())
