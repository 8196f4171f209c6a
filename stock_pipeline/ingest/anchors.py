"""Ask Kafka whether the topic is still the one that was read: its offsets, id and anchors."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.identity import TopicChangedError, check_topic
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.reading import OffsetPoll, Reader
from stock_pipeline.kafka.control import RangeReader
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.settings import KafkaSettings


def verify_topic(plan: Plan, state: LogState, reader: Reader, poll: OffsetPoll) -> None:
    """Check that the topic is still the one whose records were decided before (I5).

    Reads the last record of each partition again. If compaction or retention removed it, that
    proves nothing; if another record is in its place, it is another topic.

    Raises:
        TopicChangedError: It is another topic, or was truncated.
    """
    offsets = poll()
    check_topic(state, plan.topic, offsets)
    check_anchors(state, plan.topic, offsets, plan.ranges, reader)


def check_anchors(
    state: LogState, topic: str, offsets: TopicOffsets, partitions: Iterable[int], reader: Reader
) -> None:
    """Re-read the last record of partitions that were read before.

    Raises:
        TopicChangedError: There is another record in its place.
    """
    for partition in sorted(partitions):
        anchor = state.anchors.get(partition)
        polled = offsets.partitions.get(partition)
        if anchor is None or polled is None or anchor.offset < polled.beginning:
            continue
        record = reader.record_at(partition, anchor.offset)
        if record is not None and record != (anchor.timestamp, anchor.digest):
            raise TopicChangedError(
                f"Topic {topic} partition {partition} has another record at offset "
                f"{anchor.offset} than when it was read: truncated or recreated. Nothing was read; "
                f"to go on with it as it is: stock-pipeline feed adopt {state.feed}"
            )


def topic_change(
    settings: KafkaSettings, topic: str, state: LogState, offsets: TopicOffsets
) -> str:
    """Why a topic is not the one that was read; empty if nothing says so.

    Reads the last record of each partition again. A feed that has read nothing yet has nothing to
    compare with, so its topic has not changed.

    Raises:
        KafkaUnavailableError: The brokers do not answer.
    """
    try:
        check_topic(state, topic, offsets)
        with closing(RangeReader(settings, topic)) as reader:
            check_anchors(state, topic, offsets, state.anchors, reader)
    except TopicChangedError as error:
        return str(error)
    return ""
