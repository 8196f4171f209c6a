"""Steps of a pipeline on a secured broker."""

from __future__ import annotations

import json
from collections.abc import Callable

import dagster as dg

from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.kafka.messages import Message
from stock_pipeline.kafka.publisher import Publisher
from stock_pipeline.settings import Settings
from stock_pipeline_tests.support.location import location


def send(settings: Settings, count: int, feed: str = "trades") -> None:
    with Publisher(settings.kafka, settings.feeds[feed].topic) as publisher:
        publisher.send(Message(b"SIM-A", trade(number)) for number in range(count))


def ingest_all(planner: Planner, feed: str = "trades") -> int:
    """Plan and ingest what waits; returns how many rows came."""
    rows = 0
    topic = planner.settings.feeds[feed].topic
    while True:
        tick = planner.tick(feed, planner.poll()[topic], lambda plan: [], force=True)
        assert not tick.problem
        if not tick.requests:
            return rows
        for request in tick.requests:
            done, _ = run_batch(planner, feed, request.plan, request.attempt, "run")
            rows += done.commit.decision.rows


def tick(instance: dg.DagsterInstance) -> dg.SensorResult:
    return location().plan_batches(instance)


Configure = Callable[..., Settings]


def trade(number: int) -> bytes:
    record = {"symbol": "SIM-A", "time": 1_767_225_600_000 + number, "price": 100, "size": 1}
    return json.dumps(record | {"trade_id": str(number)}).encode()
