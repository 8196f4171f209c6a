"""Running batches: one that the sensor planned, or all that wait when a person asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from stock_pipeline.errors import UserError
from stock_pipeline.ingest.decide import ingest
from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.ingest.rejects.quarantine import QuarantineReader
from stock_pipeline.kafka.control import KafkaUnavailableError, RangeReader
from stock_pipeline.lib.sessions import DEFAULT_CALENDAR
from stock_pipeline.settings.calendars import calendar_rules

if TYPE_CHECKING:
    from stock_pipeline.ingest.decide import Ingested
    from stock_pipeline.ingest.documents import Plan
    from stock_pipeline.ingest.offset_log import OffsetLog
    from stock_pipeline.ingest.planner import Planner
    from stock_pipeline.ingest.reading import Reader
    from stock_pipeline.kafka.offsets import TopicOffsets


class RejectsGoneError(UserError):
    """The rejects that a batch replays are no longer in the lake; it stays planned."""


class FeedStandsStillError(UserError):
    """A feed's topic is missing or another one; nothing is planned until somebody acts."""


class NoSuchPlanError(UserError):
    """A batch was asked for that no plan describes; nothing was read."""


def planned(log: OffsetLog, seq: int) -> Plan:
    """The plan of a batch.

    Raises:
        NoSuchPlanError: There is none of that number.
    """
    plan = log.plan_of(seq)
    if plan is None:
        raise NoSuchPlanError(
            f"Feed {log.feed} has no plan {seq}: nothing was read. The offset log lists the "
            "batches: stock-pipeline status"
        )
    return plan


def run_batch(
    planner: Planner, name: str, plan: Plan, attempt: int, run_id: str
) -> tuple[Ingested, float]:
    """Ingest one planned batch; returns the result and the seconds that it took.

    Args:
        planner: Has the feed's log and the connections.
        name: Name of the feed.
        plan: The batch.
        attempt: Number of this attempt at it.
        run_id: Dagster's run.

    Raises:
        TopicChangedError: The topic was truncated or recreated; nothing was written.
        KafkaUnavailableError: The brokers broke off, or the topic is gone; nothing was decided.
        DiskFullError: No room for the temporary files; nothing was decided.
        RejectsGoneError: The rejects that were to come back are gone from quarantine.
    """
    feed = planner.settings.feeds[name]
    started = time.perf_counter()

    def poll() -> TopicOffsets:
        offsets = planner.kafka.topic_offsets([plan.topic])[plan.topic]
        if offsets is None:
            raise KafkaUnavailableError(
                f"Topic {plan.topic} does not exist, of which batch {plan.seq} was planned; "
                "nothing was read. Create it, or adopt the new one: "
                f"stock-pipeline feed adopt {name}"
            )
        return offsets

    decoder = Decoder(
        feed.format,
        feed.source,
        feed.calendar or DEFAULT_CALENDAR,
        calendar_rules(planner.settings),
        feed.max_message_bytes,
    )
    log = planner.logs[name]
    with _reader(planner, log, plan) as reader:
        done = ingest(
            log,
            plan,
            log.state(),
            reader,
            poll,
            decoder,
            feed.format,
            attempt=f"{attempt}-{run_id[:8]}",
            run_id=run_id,
            clock=planner.clock,
        )
    return done, time.perf_counter() - started


@contextmanager
def _reader(planner: Planner, log: OffsetLog, plan: Plan) -> Iterator[Reader]:
    """Reads from Kafka or, for a replay of rejects, from the quarantine object of their batch."""
    if plan.offsets is not None:
        old = log.commit_of(plan.replay_of[0])
        if old is None or old.decision.quarantine_key is None:
            raise RejectsGoneError(
                f"Batch {plan.seq} of feed {plan.feed} replays rejects of batch "
                f"{plan.replay_of[0]}, whose commit or quarantine object is gone: restore it, the "
                "batch is asked for again."
            )
        yield QuarantineReader(log.lake, old.decision.quarantine_key, plan.offsets)
        return
    with closing(RangeReader(planner.settings.kafka, plan.topic)) as reader:
        yield reader


def ingest_what_waits(planner: Planner, name: str, run_id: str) -> Iterator[tuple[Ingested, float]]:
    """Plan what waits, whatever the triggers say, and run it until all of it is decided.

    Records that arrive meanwhile are left to the sensor. With them, at 20 records/s and a batch a
    second, this would never end.

    Raises:
        FeedStandsStillError: Nothing is planned until somebody acts.
    """
    feed, log = planner.settings.feeds[name], planner.logs[name]
    ends: dict[int, int] | None = None
    while ends is None or not log.state().has_decided(ends):
        polled = planner.poll()[feed.topic]
        if ends is None and polled is not None:
            ends = {number: partition.end for number, partition in polled.partitions.items()}
        tick = planner.tick(
            name,
            polled,
            lambda plan: [],  # noqa: ARG005 - a person asks: undecided batches run again now
            force=True,
        )
        if tick.problem:
            raise FeedStandsStillError(tick.problem)
        if not tick.requests:
            return
        for request in tick.requests:
            yield run_batch(planner, name, request.plan, request.attempt, run_id)
