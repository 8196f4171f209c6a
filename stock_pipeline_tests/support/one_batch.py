"""One batch of one partition, planned and decided."""

from __future__ import annotations

from typing import Any

from stock_pipeline.ingest.planner import Planner
from stock_pipeline_tests.support.trades import FEEDS
from stock_pipeline_tests.support.waiting import until

ONE_PARTITION = {"trades": {**FEEDS["trades"], "partitions": 1}}


def plan_one(planner: Planner, topic: str) -> Any:
    (request,) = planner.tick("trades", planner.poll()[topic], lambda plan: [], force=True).requests
    return request


def decide(planner: Planner, request: Any) -> Any:
    from stock_pipeline.ingest.run import run_batch

    return run_batch(planner, "trades", request.plan, request.attempt, "run")[0]


def delete(broker: str, topic: str) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.delete_topics([topic])[topic].result(60)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic is gone")
