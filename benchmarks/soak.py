"""`make soak`: run the pipeline as `make dev` does and watch what it uses, and how fresh it is.

Samples each minute; writes docs/measurements/soak.json and soak.svg after every sample, so that an
interrupted run leaves what it has seen.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.chart import chart
from benchmarks.freshness import Freshness
from benchmarks.machine import machine, sentence
from benchmarks.processes import Usage, usage_by_group
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import load_settings
from stock_pipeline.stack.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
MEBIBYTE = 1024**2
STOP_SECONDS = 90
#: The first minutes hold the start and the history that the simulator sends at once.
WARM_UP_MINUTES = 10
CPU_BUDGET_CORES = 0.8
WRITE_BUDGET_BYTES = 5_000_000


def main() -> int:
    """Run `stock-pipeline dev` and sample it; exit code 1 when it died, 0 else."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between samples")
    parser.add_argument("--home", type=Path, help="folder of its state (default: a new one)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "measurements")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="stock_pipeline_soak_") as folder:
        home = (options.home or Path(folder)).resolve()
        os.environ["STOCK_PIPELINE_HOME"] = str(home)
        for part in ("KAFKA", "AWS", "DAGSTER"):
            os.environ.setdefault(f"STOCK_PIPELINE__PORTS__{part}", str(free_port()))
        home.mkdir(parents=True, exist_ok=True)
        options.output.mkdir(parents=True, exist_ok=True)
        log = home / "soak.log"
        with log.open("w", encoding="utf-8") as out:
            dev = subprocess.Popen(
                [sys.executable, "-c", "from stock_pipeline.cli import main; main()", "dev"],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                report = watch(dev, home, options.minutes * 60, options.every, options.output, stop)
            finally:
                dev.send_signal(signal.SIGINT)
                try:
                    dev.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    dev.kill()
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    sys.stdout.write(json.dumps(report["summary"], indent=2) + "\n")
    if report["died"]:
        last = "\n".join(said)
        sys.stderr.write(f"`stock-pipeline dev` ended before its time; its last lines:\n{last}\n")
    return 1 if report["died"] else 0


def watch(
    dev: subprocess.Popen[bytes],
    home: Path,
    seconds: float,
    every: float,
    output: Path,
    stop: threading.Event,
) -> dict[str, Any]:
    """Sample until the time is over, `stop` is set or the pipeline ends; write after each."""
    settings = load_settings()
    freshness = Freshness(Lake(settings.aws), settings.simulator.feed)
    samples: list[dict[str, Any]] = []
    started = time.monotonic()
    report = {"machine": machine(), "samples": samples, "summary": {}, "died": False}
    while not report["died"] and time.monotonic() - started < seconds:
        stop.wait(max(0.0, started + every * (len(samples) + 1) - time.monotonic()))
        report["died"] = dev.poll() is not None
        if report["died"]:
            break
        groups = usage_by_group(dev.pid)
        samples.append(
            {
                "minute": round((time.monotonic() - started) / 60, 2),
                "groups": {name: asdict(usage) for name, usage in sorted(groups.items())},
                "runs": runs_by_status(home / "dagster" / "history" / "runs.db"),
                "bronze_age_seconds": _asked(freshness.bronze_age),
                "gold_age_seconds": _asked(freshness.gold_age),
            }
        )
        report["summary"] = summary(samples)
        write(report, output)
        if stop.is_set():
            break
    return report


def runs_by_status(database: Path) -> dict[str, int]:
    """Number of Dagster runs by status; empty before Dagster has made its database."""
    if not database.exists():
        return {}
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5) as connection:
            rows = connection.execute("SELECT status, count(*) FROM runs GROUP BY status")
            return {str(status): int(count) for status, count in rows}
    except sqlite3.OperationalError:
        return {}  # Locked, or its tables are not there yet.


def _asked(age: Callable[[], float | None]) -> float | None:
    """An age in seconds; None while the lake cannot be asked, as during the start."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        seconds = age()
    except (BotoCoreError, ClientError, OSError):
        return None
    return None if seconds is None else round(seconds, 1)


def summary(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Averages after the warm-up, against the budgets."""
    warm = [s for s in samples if s["minute"] >= WARM_UP_MINUTES]
    if len(warm) < 2:
        warm = samples
    first, last = warm[0], warm[-1]
    seconds = (last["minute"] - first["minute"]) * 60
    if not seconds:
        return {"minutes": last["minute"]}
    memory = [total(s).pss_bytes / MEBIBYTE for s in warm]
    cores = (total(last).cpu_seconds - total(first).cpu_seconds) / seconds
    written = (total(last).write_bytes - total(first).write_bytes) / seconds
    third = max(1, len(warm) // 3)
    return {
        "minutes": last["minute"],
        "cpu_cores": round(cores, 3),
        "cpu_within_budget": cores <= CPU_BUDGET_CORES,
        "write_bytes_per_second": round(written),
        "writes_within_budget": written <= WRITE_BUDGET_BYTES,
        "pss_mib_first_third": round(sum(memory[:third]) / third),
        "pss_mib_last_third": round(sum(memory[-third:]) / third),
        "runs": last["runs"],
        "bronze_age_seconds": _middle_and_worst(warm, "bronze_age_seconds"),
        "gold_age_seconds": _middle_and_worst(warm, "gold_age_seconds"),
    }


def total(sample: dict[str, Any]) -> Usage:
    """Usage of all groups of a sample."""
    return sum((Usage(**usage) for usage in sample["groups"].values()), Usage())


def _middle_and_worst(samples: list[dict[str, Any]], name: str) -> dict[str, float] | None:
    values = sorted(s[name] for s in samples if s[name] is not None)
    return {"median": values[len(values) // 2], "worst": values[-1]} if values else None


def write(report: dict[str, Any], output: Path) -> None:
    """The report as JSON and as a chart."""
    samples = report["samples"]
    (output / "soak.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    names = sorted({name for sample in samples for name in sample["groups"]})

    def level(name: str, key: str, unit: float) -> list[tuple[float, float | None]]:
        return [
            (s["minute"], s["groups"][name][key] / unit if name in s["groups"] else None)
            for s in samples
        ]

    def rate(name: str, key: str, unit: float) -> list[tuple[float, float | None]]:
        points: list[tuple[float, float | None]] = []
        for a, b in pairwise(samples):
            both = name in a["groups"] and name in b["groups"]
            grown = b["groups"][name][key] - a["groups"][name][key] if both else -1
            seconds = (b["minute"] - a["minute"]) * 60
            # A restarted process begins at nothing.
            points.append((b["minute"], grown / seconds / unit if grown >= 0 else None))
        return points

    ages = ("bronze", "gold")
    runs = sorted({status for sample in samples for status in sample["runs"]})
    drawn = chart(
        {
            "Memory, MiB (shared pages divided)": {
                n: level(n, "pss_bytes", MEBIBYTE) for n in names
            },
            "CPU, cores": {n: rate(n, "cpu_seconds", 1) for n in names},
            "Disk writes, MB/s": {n: rate(n, "write_bytes", 1e6) for n in names},
            "Age of the newest record, s": {
                n: [(s["minute"], s[f"{n}_age_seconds"]) for s in samples] for n in ages
            },
            "Runs so far": {r: [(s["minute"], s["runs"].get(r, 0)) for s in samples] for r in runs},
        },
        f"minutes ({sentence(report['machine'])})",
    )
    (output / "soak.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
