"""Decided batches without a broker: bronze object, plan and commit, as ingest leaves them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from stock_pipeline.ingest.documents import Commit, Decision, OffsetRange, Plan
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.spans import trade_date_spans
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats import FORMATS

NOW = datetime(2024, 6, 3, 12, 0)


def trade(
    at: datetime, price: float, trade_id: str | None = None, symbol: str = "SIM-A", size: float = 1
) -> dict[str, object]:
    return {
        "symbol": symbol,
        "event_time": at,
        "price": price,
        "size": size,
        "trade_id": trade_id,
        "venue": None,
        "trade_date": at.date(),
    }


def bar(
    at: datetime, close: float, interval: str = "5m", symbol: str = "SIM-A"
) -> dict[str, object]:
    prices = {"open": close, "high": close, "low": close, "close": close, "volume": 10.0}
    return {
        "symbol": symbol,
        "bar_start": at,
        "interval": interval,
        **prices,
        "source": "bars",
        "trade_date": at.date(),
    }


def daily(day: date, close: float, symbol: str = "SIM-A") -> dict[str, object]:
    return {
        "symbol": symbol,
        "trade_date": day,
        "open": close,
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "adjusted_close": close,
        "volume": 10.0,
        "close_usd": None,
        "source": "index_daily",
    }


def decide(
    lake: Lake,
    feed: str,
    message_format: str,
    seq: int,
    rows: Sequence[dict[str, object]],
    replay_of: tuple[int, ...] = (),
) -> Commit:
    """Write a batch of these rows, as one partition's next offsets; a row may set any column."""
    schema = FORMATS[message_format].schema
    start = seq * 1_000_000
    placed = [
        dict.fromkeys(schema.names)
        | {
            "kafka_partition": 0,
            "kafka_offset": start + i,
            "kafka_timestamp": NOW + timedelta(seconds=seq),
            "incarnation": 1,
        }
        | row
        for i, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(placed, schema=schema)
    plan = Plan(
        kind="replay" if replay_of else "batch",
        feed=feed,
        topic=feed,
        seq=seq,
        planned_at=NOW,
        decoder_version="1",
        ranges={0: OffsetRange(start=start, end=start + len(rows))},
        replay_of=replay_of,
    )
    decision = Decision(
        plan=plan,
        attempt="1",
        run_id="test",
        decoder_version="1",
        object_key=layout.bronze_key(feed, seq, plan.arrival_date),
        quarantine_key=None,
        partitions={},
        rows=len(rows),
        rejects=0,
        partial_rejects=0,
        payload_bytes=0,
        trade_dates=trade_date_spans(table),
        first_event_time=None,
        last_event_time=None,
        digest="",
        anchors={},
    )
    body = io.BytesIO()
    footer = {FOOTER_KEY: decision.model_dump_json()}
    pq.write_table(table.replace_schema_metadata(footer), body)
    etag = lake.put_if_absent(decision.object_key, body.getvalue())
    commit = Commit(
        decision=decision,
        object_bytes=len(body.getvalue()),
        object_etag=etag,
        committed_at=datetime.now(UTC).replace(tzinfo=None),
    )
    log = OffsetLog(lake, feed)
    assert log.put_plan(plan)
    log.put_commit(commit)
    assert json.loads(commit.model_dump_json())
    return commit
