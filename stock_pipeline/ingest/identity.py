"""Checks that a topic is still the one whose offsets the log holds."""

from __future__ import annotations

from stock_pipeline.errors import UserError
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.kafka.offsets import TopicOffsets


class TopicChangedError(UserError):
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
