"""What the README's numbers are made with."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import soak
from benchmarks.chart import chart
from benchmarks.freshness import Freshness
from benchmarks.machine import machine, sentence
from benchmarks.processes import usage_by_group
from benchmarks.run_all import BenchmarkError, benchmarks, table, with_section
from stock_pipeline.lake.layout import FOOTER_KEY, bronze_key, table_object_key
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import project_root
from stock_pipeline.tables.made_from import MadeFrom

BURN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
linux = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux' /proc")


def test_the_readme_has_the_section_and_every_benchmark_is_found() -> None:
    text = (project_root() / "README.md").read_text()
    assert "new numbers" in with_section(text, "new numbers")
    assert with_section(with_section(text, "a"), "b") == with_section(text, "b")
    found = benchmarks(project_root() / "benchmarks")
    assert {"ingest", "tick"} <= set(found)
    assert not {"soak", "machine", "chart"} & set(found)


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no section between"):
        with_section("no markers", "x")


def test_a_missed_budget_shows_in_the_table() -> None:
    entry = {"name": "tick", "value": 1234.5, "unit": "ms", "budget": "<= 400", "holds": False}
    shown = table({"machine": machine(), "command": "make bench", "results": [entry]})
    assert "| tick | 1,234.5 ms | <= 400 | **no** |" in shown
    assert sentence(machine()) in shown


@linux
def test_the_cpu_time_of_an_ended_child_stays_with_its_parent() -> None:
    before = usage_by_group(os.getpid())["supervisor"].cpu_seconds
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert usage_by_group(os.getpid())["supervisor"].cpu_seconds - before > 0.25


@linux
def test_a_descendant_is_counted_in_the_group_of_its_command() -> None:
    wait = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", wait, "simulate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        usage = usage_by_group(os.getpid())["simulator"]
        assert usage.processes == 1
        assert usage.rss_bytes >= usage.pss_bytes > 0
        child.communicate()


def test_a_chart_is_well_formed_and_leaves_gaps() -> None:
    drawn = chart({"a < b": {"line & co": [(0, 1.0), (1, None), (2, 3.0)]}, "none": {}}, "minutes")
    lines = ElementTree.fromstring(drawn).findall("{*}polyline")
    assert len(lines) == 2


def test_runs_are_counted_by_status(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    assert soak.runs_by_status(database) == {}
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE runs (status TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?)", [("SUCCESS",)] * 3 + [("FAILURE",)])
    assert soak.runs_by_status(database) == {"SUCCESS": 3, "FAILURE": 1}


def test_the_summary_takes_rates_between_the_first_and_the_last_sample(tmp_path: Path) -> None:
    def sample(minute: int, cpu: float, written: int) -> dict[str, object]:
        usage = {
            "rss_bytes": 2 * soak.MEBIBYTE,
            "pss_bytes": soak.MEBIBYTE,
            "cpu_seconds": cpu,
            "write_bytes": written,
            "processes": 1,
        }
        ages = {"bronze_age_seconds": float(minute), "gold_age_seconds": None}
        return {"minute": minute, "groups": {"aws": usage}, "runs": {"SUCCESS": minute}, **ages}

    samples = [sample(1, 100.0, 0), sample(11, 110.0, 0), sample(21, 410.0, 60_000_000)]
    found = soak.summary(samples)
    assert found["cpu_cores"] == 0.5
    assert found["write_bytes_per_second"] == 100_000
    assert found["pss_mib_last_third"] == 1
    assert found["bronze_age_seconds"] == {"median": 21.0, "worst": 21.0}
    soak.write({"machine": machine(), "samples": samples, "summary": found}, tmp_path)
    ElementTree.parse(tmp_path / "soak.svg")


def test_freshness_follows_the_newest_record_through_the_tables(lake: Lake) -> None:
    def stamped(seconds_ago: float, made_from: MadeFrom | None = None) -> bytes:
        at = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds_ago)
        rows = pa.table({"kafka_timestamp": pa.array([at], pa.timestamp("us"))})
        if made_from:
            rows = rows.replace_schema_metadata({FOOTER_KEY: made_from.model_dump_json()})
        buffer = io.BytesIO()
        pq.write_table(rows, buffer)
        return buffer.getvalue()

    fresh = Freshness(lake, "trades")
    assert fresh.bronze_age() is None
    assert fresh.gold_age() is None
    lake.put(bronze_key("trades", 0, date(2026, 1, 1)), stamped(50_000))
    lake.put(bronze_key("trades", 1, date(2026, 1, 1)), stamped(10_000))
    assert fresh.bronze_age() == pytest.approx(10_000, abs=300)
    lake.put(bronze_key("trades", 2, date(2026, 1, 2)), stamped(5))
    assert fresh.bronze_age() == pytest.approx(5, abs=300)

    silver = table_object_key("silver", "bars_intraday", "trade_date", "2026-01-02")
    gold = table_object_key("gold", "volatility_intraday", "trade_date", "2026-01-02")
    etag = lake.put(silver, stamped(6_000))
    assert fresh.gold_age() is None
    lake.put(gold, stamped(0, MadeFrom(etags={silver: etag})))
    assert fresh.gold_age() == pytest.approx(6_000, abs=300)
    lake.put(silver, stamped(1))
    assert fresh.gold_age() == pytest.approx(6_000, abs=300)
