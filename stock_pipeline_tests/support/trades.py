"""A feed of trades: its settings, its messages, and its ingest as a person starts it."""

from __future__ import annotations

import json
from typing import Any

from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.settings import Settings

FEEDS = {"trades": {"format": "trade", "source": "trades", "calendar": "24/7", "partitions": 2}}


def trade(number: int, **changes: Any) -> bytes:
    return json.dumps(
        {
            "symbol": "SIM-A",
            "time": 1_767_225_600_000 + number,
            "price": 100.0 + number,
            "size": 1,
            "trade_id": str(number),
        }
        | changes
    ).encode()


def ingest_all(settings: Settings, feed: str = "trades") -> list[Any]:
    """Plan and ingest what waits, as a person who materializes the asset does."""
    planner = Planner(settings)
    done: list[Any] = []
    while True:
        offsets = planner.poll()[settings.feeds[feed].topic]
        tick = planner.tick(feed, offsets, lambda plan: [], force=True)
        assert not tick.problem
        if not tick.requests:
            return done
        done += [run_batch(planner, feed, r.plan, r.attempt, "run")[0] for r in tick.requests]
