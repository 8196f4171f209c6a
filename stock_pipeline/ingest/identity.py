"""Checks that a topic is still the one whose offsets the log holds."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from stock_pipeline.ingest.documents import Plan
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.reading import OffsetPoll, Reader
from stock_pipeline.kafka.control import RangeReader
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.settings import KafkaSettings


class TopicChangedError(Exception):
    """The topic is not the one that was read before: recreated, truncated or another cluster's."""


def recreated(state: LogState, offsets: TopicOffsets) -> bool:
    """Whether log and broker both have a topic id, and the two differ."""
    return bool(state.topic_id and offsets.topic_id and state.topic_id != offsets.topic_id)


def check_topic(state: LogState, topic: str, offsets: TopicOffsets) -> None:
    """Refuse a topic that cannot be the one whose offsets were read before (I5).

    Raises:
        TopicChangedError: Another topic id, a vanished partition, or an end below what was read.
    """
    adopt = f"Nothing was read; to go on with it as it is: stock-pipeline feed adopt {state.feed}"
    if recreated(state, offsets):
        raise TopicChangedError(
            f"Topic {topic} was recreated: its id is {offsets.topic_id}, the log's last plan saw "
            f"{state.topic_id}. {adopt}"
        )
    for partition, next_offset in sorted(state.next_offsets.items()):
        polled = offsets.partitions.get(partition)
        if polled is None:
            raise TopicChangedError(
                f"Topic {topic} has no partition {partition} any more, of which offsets below "
                f"{next_offset} are planned. {adopt}"
            )
        end = max(polled.end, polled.high_watermark or 0)
        if end < next_offset:
            raise TopicChangedError(
                f"Topic {topic} partition {partition} ends at offset {end}, below offset "
                f"{next_offset} that is already planned: truncated or recreated. {adopt}"
            )


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
