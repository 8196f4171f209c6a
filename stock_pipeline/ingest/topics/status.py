"""How far each feed has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from stock_pipeline.ingest.offsets import lag as lag_of
from stock_pipeline.ingest.offsets import lost
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics.health import topic_problems
from stock_pipeline.ingest.topics.watch import TopicWatch
from stock_pipeline.settings import Settings


@dataclass(frozen=True)
class FeedStatus:
    """How far one feed is.

    Attributes:
        feed: Name of the feed.
        topic: Its topic.
        topic_exists: Whether the broker has it.
        waiting: Readable offsets that no plan covers, per partition.
        lost: Offsets that retention deleted unread.
        undecided: Sequence numbers of planned batches without a decision.
        last_batch: Sequence number of the last plan, -1 for none.
        last_planned_at: When it was planned, ISO UTC, "" for never.
        incarnation: Incarnation of the topic.
        problem: Why the brokers do not let us read the topic; "" where they do.
        checks: What is wrong by each check of the topic, by its name; "" where nothing is.
    """

    feed: str
    topic: str
    topic_exists: bool
    waiting: dict[int, int]
    lost: int
    undecided: tuple[int, ...]
    last_batch: int
    last_planned_at: str
    incarnation: int
    problem: str = ""
    checks: dict[str, str] = field(default_factory=dict)


def feed_statuses(settings: Settings) -> list[FeedStatus]:
    """Status of every feed, from the offset log and the broker.

    Raises:
        KafkaUnavailableError: The brokers do not answer.
    """
    planner = Planner(settings)
    try:
        return _statuses(planner)
    finally:
        planner.kafka.close()


def _statuses(planner: Planner) -> list[FeedStatus]:

    settings, polled, watch = planner.settings, planner.poll(), TopicWatch(planner.kafka)
    statuses = []
    for name, feed in settings.feeds.items():
        state, offsets = planner.logs[name].state(), polled.get(feed.topic)
        refusal = polled.refused.get(feed.topic)
        planned_at = state.last_planned_at
        checks = {}
        if refusal is None:
            findings = watch.findings(feed, planner.logs[name], state, offsets)
            checks = topic_problems(state, feed.topic, offsets, findings)
        statuses.append(
            FeedStatus(
                name,
                feed.topic,
                offsets is not None or refusal is not None,
                lag_of(state, offsets) if offsets else {},
                sum(len(r) for r in lost(state, offsets).values()) if offsets else 0,
                tuple(plan.seq for plan in state.pending),
                state.next_seq - 1,
                planned_at.isoformat() if planned_at else "",
                state.incarnation,
                str(refusal or ""),
                checks,
            )
        )
    return statuses
