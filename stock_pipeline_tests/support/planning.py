"""Offsets of a topic and plans over them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offsets import Triggers, plan_next
from stock_pipeline.kafka.offsets import PartitionOffsets, TopicOffsets

NOW = datetime(2026, 11, 20, 15, 0)

TRIGGERS = Triggers(
    min_records=100, max_wait_seconds=10, max_records=1000, max_bytes=10**9, max_batches_in_flight=2
)

KNOWN = LogState(
    "f", next_seq=1, next_offsets={0: 50}, last_planned_at=NOW, decided_through=0, topic_id="a"
)


def topic(*ends: int, beginning: int = 0, topic_id: str | None = "a") -> TopicOffsets:
    return TopicOffsets(
        topic_id, {p: PartitionOffsets(beginning, end, end) for p, end in enumerate(ends)}
    )


def planned(
    state: LogState, offsets: TopicOffsets, triggers: Triggers = TRIGGERS, **kw: Any
) -> Plan:
    plan = plan_next(state, offsets, triggers, topic="t", decoder_version="1", **{"now": NOW} | kw)
    assert isinstance(plan, Plan)
    return plan
