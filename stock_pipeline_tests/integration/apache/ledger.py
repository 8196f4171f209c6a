"""What became of every offset, as a reader of the lake sees it; ingest that does not give up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stock_pipeline.ingest.documents import Decision
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings
from stock_pipeline_tests.support.trades import trade

#: With two restarts of a broker in between, on a machine that has other work.
SECONDS_TO_CATCH_UP = 400.0

Offset = tuple[int, int]


@dataclass(frozen=True)
class Ledger:
    """All decided batches of a feed: partition and offset of rows and rejects, in order."""

    decisions: list[Decision]
    rows: list[dict[str, Any]]
    rejects: list[dict[str, Any]]

    @property
    def accepted(self) -> list[Offset]:
        return [(row["kafka_partition"], row["kafka_offset"]) for row in self.rows]

    @property
    def rejected(self) -> list[Offset]:
        return [(row["kafka_partition"], row["kafka_offset"]) for row in self.rejects]

    @property
    def trade_ids(self) -> set[str]:
        return {row["trade_id"] for row in self.rows}

    def total(self, fate: str) -> int:
        """Sum over all batches and partitions of `accepted`, `rejected`, `holes` or `lost`."""
        return sum(getattr(c, fate) for d in self.decisions for c in d.partitions.values())

    def lost_ranges(self, partition: int = 0) -> list[tuple[int, int]]:
        return [
            (r.start, r.end)
            for d in self.decisions
            if partition in d.partitions
            for r in d.partitions[partition].lost_ranges
        ]


def ledger(settings: Settings, feed: str = "trades") -> Ledger:
    """Read the lake, and check I1, I2 and I6 on what it holds."""
    lake = Lake(settings.aws)
    decisions = [commit.decision for commit in OffsetLog(lake, feed).commits()]
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    next_offsets: dict[tuple[int, int], int] = {}
    for decision in sorted(decisions, key=lambda d: d.plan.seq):
        assert decision.balanced
        rows += _rows(lake, decision.object_key)
        if decision.quarantine_key:
            rejects += _rows(lake, decision.quarantine_key)
        for partition, count in decision.partitions.items():
            life = (decision.plan.incarnation, partition)
            assert next_offsets.get(life, count.start) == count.start, "a gap or an overlap"
            next_offsets[life] = count.end
    found = Ledger(decisions, rows, rejects)
    if len({d.plan.incarnation for d in decisions}) <= 1:
        everything = found.accepted + found.rejected
        assert len(everything) == len(set(everything)), "an offset came twice"
        assert len(everything) == found.total("accepted") + found.total("rejected")
    return found


def _rows(lake: Lake, key: str) -> list[dict[str, Any]]:
    return list(lake.read_table(key)[0].to_pylist())


def ingest_until(
    settings: Settings, done: Callable[[], bool], failed: threading.Event | None = None
) -> None:
    """Plan and ingest, going on after every failure of the broker, until nothing waits and `done`.

    Args:
        settings: With the feed `trades`.
        done: Whether nothing more will come.
        failed: Set whenever the broker fails us.
    """
    planner = Planner(settings)
    feed, topic = "trades", settings.feeds["trades"].topic
    deadline = time.monotonic() + SECONDS_TO_CATCH_UP
    while True:
        assert time.monotonic() < deadline, "the feed did not catch up"
        finished = done()
        try:
            tick = planner.tick(feed, planner.poll()[topic], lambda plan: [], force=True)
            assert not tick.problem, tick.problem
            for request in tick.requests:
                run_batch(planner, feed, request.plan, request.attempt, "run")
        except KafkaUnavailableError:
            if failed:
                failed.set()
            continue
        if finished and not tick.requests:
            return


class Load:
    """Sends numbered trades from a thread; knows which of them the broker has acknowledged."""

    def __init__(self, bootstrap_servers: str, topic: str, **options: Any) -> None:
        from confluent_kafka import Producer

        self.topic = topic
        self.acknowledged: dict[str, Offset] = {}
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "message.timeout.ms": 120_000,
                "socket.timeout.ms": 3_000,
                "reconnect.backoff.max.ms": 500,
                "linger.ms": 5,
                "log_level": 0,
                **options,
            }
        )
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Send no more, and wait for the fate of what was sent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._producer.flush(120)

    def assert_arrived(self, settings: Settings) -> None:
        """What the broker acknowledged, and nothing else, is in bronze once, where it said."""
        assert not self.failed
        found = ledger(settings)
        where = {r["trade_id"]: (r["kafka_partition"], r["kafka_offset"]) for r in found.rows}
        assert where == self.acknowledged
        assert len(found.rows) == len(where)
        assert found.total("lost") == found.total("holes") == 0

    def _send(self) -> None:
        number = 0
        # A pause paces the load; it waits for nothing.
        while not self._stop.wait(0.02):
            for _ in range(20):
                self._producer.produce(
                    self.topic, trade(number), partition=number % 2, callback=self._told(number)
                )
                number += 1
            self._producer.poll(0)

    def _told(self, number: int) -> Callable[[Any, Any], None]:
        def told(error: Any, message: Any) -> None:
            if error:
                self.failed.append(str(number))
            else:
                self.acknowledged[str(number)] = (message.partition(), message.offset())

        return told
