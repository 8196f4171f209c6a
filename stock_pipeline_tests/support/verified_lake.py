"""A real lake for `verify`: produced, planned, ingested, made, catalogued; damaged and restored."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.ingest.documents import Commit, Decision
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import TABLES, TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.publish import TableBuilder
from stock_pipeline.verify.report import Report
from stock_pipeline.verify.run import Scope, verify

START_MS = 1_767_225_600_000


def trade(number: int, **changes: Any) -> bytes:
    """Trades every second of 2026-01-01, two symbols."""
    return json.dumps(
        {
            "symbol": f"SIM-{'AB'[number % 2]}",
            "time": START_MS + 1000 * number,
            "price": 100.0 + number % 7,
            "size": 1,
            "trade_id": str(number),
        }
        | changes
    ).encode()


def daily(day: int, close: float = 100.0) -> bytes:
    return json.dumps(
        {
            "Index": "IDX",
            "Date": f"2026-01-{day:02d}",
            "Open": close,
            "High": close * 1.02,
            "Low": close * 0.98,
            "Close": close * (1 + day % 3 / 100),
            "Adj Close": close * (1 + day % 3 / 100),
            "Volume": 10.0,
            "CloseUSD": close,
        }
    ).encode()


class VerifiedLake:
    """A lake with the steps of the pipeline, without Dagster."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.lake = Lake(settings.aws)
        self.catalogue = Catalogue(settings, self.lake)

    def ingest(self, feed: str) -> list[Commit]:
        """Plan and ingest what waits."""
        planner = Planner(self.settings, self.lake)
        done: list[Commit] = []
        while True:
            offsets = planner.poll()[self.settings.feeds[feed].topic]
            tick = planner.tick(feed, offsets, lambda plan: [], force=True)
            assert not tick.problem
            if not tick.requests:
                planner.kafka.close()
                return done
            done += [
                run_batch(planner, feed, r.plan, r.attempt, "run")[0].commit for r in tick.requests
            ]

    def refresh(self, tables: Sequence[TableSpec] = tuple(TABLES.values())) -> None:
        """Make what is due of some tables, like a refresh run."""
        index = TableIndex(self.settings, self.lake, self.folder / "refresh.sqlite")
        index.catch_up()
        builder = TableBuilder(self.settings, self.lake, "run", index)
        for table, partition in index.due_one_by_one():
            if table not in tables:
                continue
            assert not builder.build(table, partition).violations
        index.close()

    def verify(self, **scope: Any) -> Report:
        """Verify without grace: nothing is under way here."""
        options = {"grace_seconds": 0.0, "settle_seconds": 0.5, "athena": False} | scope
        return verify(self.settings, self.lake, Scope(**options), lambda step, done, total: None)

    def snapshot(self) -> dict[str, bytes]:
        """Every object."""
        return {e.key: self.lake.get(e.key)[0] for e in self.lake.list("")}

    @contextmanager
    def damaged(self) -> Iterator[Lake]:
        """Whatever is done to the bucket inside is undone at the end."""
        before = self.snapshot()
        try:
            yield self.lake
        finally:
            for key, body in self.snapshot().items():
                if key not in before:
                    self.lake.delete(key)
                elif before[key] != body:
                    self.lake.put(key, before[key])
            for key, body in before.items():
                if self.lake.head(key) is None:
                    self.lake.put(key, body)

    def commit(self, feed: str, seq: int) -> Commit:
        return Commit.model_validate_json(self.lake.get(layout.commit_key(feed, seq))[0])

    def rewrite_batch(
        self,
        commit: Commit,
        rows: Callable[[pa.Table], pa.Table] = lambda rows: rows,
        decision: Callable[[Decision], Decision] = lambda decision: decision,
    ) -> None:
        """Write a batch's object and commit again, consistently: other rows, another decision."""
        key = commit.decision.object_key
        table = rows(self.lake.read_table(key)[0]).replace_schema_metadata(None)
        made = decision(commit.decision)
        body = io.BytesIO()
        with pq.ParquetWriter(body, table.schema, compression="zstd") as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({FOOTER_KEY: made.model_dump_json().encode()})
        etag = self.lake.put(key, body.getvalue())
        changed = commit.model_copy(
            update={
                "decision": made,
                "object_bytes": len(body.getvalue()),
                "object_etag": etag,
            }
        )
        seq = commit.decision.plan.seq
        feed = commit.decision.plan.feed
        self.lake.put(layout.commit_key(feed, seq), changed.model_dump_json().encode())
        self.lake.put(layout.plan_key(feed, seq), made.plan.model_dump_json().encode())


def settings_file(
    folder: Path, name: str, feeds: Mapping[str, Mapping[str, Any]], **sections: Any
) -> Path:
    """A configuration of these feeds with a bucket, a database and topics of its own."""
    data: dict[str, Any] = {
        "feeds": {f: {"topic": f"{f}-{name}", "source": f, **feed} for f, feed in feeds.items()},
        "aws": {"bucket": f"lake-{name}"},
        "catalog": {"database": f"db_{name}", "method": "partitions"},
        "athena": {"workgroup": f"wg_{name}"},
        "volatility": {"windows": [2, 5]},
        "simulator": {"enabled": False},
        **sections,
    }
    config = folder / "app_config.yaml"
    config.write_text(yaml.safe_dump(data), encoding="utf-8")
    return config


def kinds(report: Report) -> Sequence[str]:
    """Kinds that were found, sorted."""
    return sorted({str(finding.kind) for finding in report.findings})
