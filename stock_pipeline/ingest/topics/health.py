"""What is wrong with a topic: one sentence for each check. Pure.

The sensor, the checks in the UI and `stock-pipeline status` take their sentences from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stock_pipeline.ingest.identity import TopicChangedError, check_topic
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offsets import lost
from stock_pipeline.kafka.offsets import TopicOffsets

SAME_TOPIC = "is_the_topic_that_was_read"
TIME_LEFT = "retention_leaves_time"
NOTHING_LOST = "retention_has_lost_nothing"
NO_HUNG_TRANSACTION = "no_hung_transaction"

#: What each check says while it passes.
PROMISES = {
    SAME_TOPIC: "The topic was not recreated or truncated, and no partition is gone (I5).",
    TIME_LEFT: (
        "Retention is not about to delete records that no decided batch has. Red before anything "
        "is lost, when less than the feed's `loss_warning_share` of the retention is left."
    ),
    NOTHING_LOST: (
        "Retention deleted no record before it was read; red for a day after it did, with the "
        "exact range."
    ),
    NO_HUNG_TRANSACTION: "No open transaction keeps readers far below the high watermark.",
}

#: Offsets between the last stable offset and the high watermark that count as a hung transaction.
HUNG_OFFSETS = 100_000
#: Brokers end a transaction after at most 15 minutes (transaction.max.timeout.ms). One that holds
#: readers up for longer hangs.
HUNG_SECONDS = 1200.0


@dataclass(frozen=True)
class Findings:
    """What is known about a topic besides its offsets.

    Attributes:
        seconds_left: Seconds until retention may delete the first unread record; None when that is
            far away, or when nothing is unread.
        changed: Why the topic is another one than was read, as a run or the last record that was
            read shows; "" when it is the same.
        recent_losses: One sentence for each loss of the last day.
        blocked_seconds: For how long each partition's last stable offset has been below its high
            watermark, as far as the caller has watched.
    """

    seconds_left: float | None = None
    changed: str = ""
    recent_losses: tuple[str, ...] = ()
    blocked_seconds: Mapping[int, float] | None = None


def first_unread(state: LogState, offsets: TopicOffsets) -> dict[int, int]:
    """First offset of each partition that no decided batch has, where there is one to read.

    A planned offset is still unread: retention may delete the records of a batch that keeps
    failing.
    """
    first = dict(state.next_offsets)
    for plan in state.pending:
        # Replays read what was read before, and earlier incarnations are given up.
        if plan.kind == "batch" and plan.incarnation == state.incarnation:
            for partition, planned in plan.ranges.items():
                first[partition] = min(first.get(partition, planned.start), planned.start)
    unread = {p: max(first.get(p, 0), o.beginning) for p, o in offsets.partitions.items()}
    return {p: start for p, start in unread.items() if start < offsets.partitions[p].end}


def topic_problems(
    state: LogState, topic: str, offsets: TopicOffsets | None, findings: Findings
) -> dict[str, str]:
    """One sentence for each check, "" where it passes; without a topic only the first check."""
    if offsets is None:
        missing = f"Topic {topic} does not exist: create it, or mend its name in the settings."
        return {SAME_TOPIC: missing}
    problems = {SAME_TOPIC: findings.changed}
    try:
        check_topic(state, topic, offsets)
    except TopicChangedError as error:
        problems[SAME_TOPIC] = str(error)
    problems[TIME_LEFT] = ""
    if findings.seconds_left is not None:
        left = _duration(findings.seconds_left)
        problems[TIME_LEFT] = (
            f"Retention deletes unread records of topic {topic} in {left}; nothing is"
            " lost yet. Raise retention.ms of the topic, or find out why batches are not decided:"
            f" stock-pipeline status, then the failed runs of feed {state.feed}"
        )
    gone = [
        f"partition {p}: offsets {r.start} to {r.end - 1} were deleted before they were planned"
        for p, r in sorted(lost(state, offsets).items())
    ]
    problems[NOTHING_LOST] = "; ".join([*gone, *findings.recent_losses])
    problems[NO_HUNG_TRANSACTION] = "; ".join(_hung(offsets, findings.blocked_seconds or {}))
    return problems


def blocked(offsets: TopicOffsets) -> dict[int, int]:
    """Last stable offset of each partition where it is below the high watermark."""
    return {
        p: o.end
        for p, o in offsets.partitions.items()
        if o.high_watermark is not None and o.high_watermark > o.end
    }


def _hung(offsets: TopicOffsets, blocked_seconds: Mapping[int, float]) -> list[str]:
    sentences = []
    for partition, end in sorted(blocked(offsets).items()):
        written = offsets.partitions[partition].high_watermark or end
        seconds = blocked_seconds.get(partition, 0.0)
        if written - end > HUNG_OFFSETS or seconds > HUNG_SECONDS:
            since = f" for {_duration(seconds)}" if seconds else ""
            sentences.append(
                f"partition {partition}: readable up to {end}, written up to {written}{since}; a "
                "transaction is open. Nothing is lost: end its producer, or find it with "
                "kafka-transactions.sh find-hanging and abort it"
            )
    return sentences


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
