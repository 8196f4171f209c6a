"""Keeps the embedded broker small: deletes records that have been decided.

It holds every record in memory and writes all of them to disk again every few seconds: with the
430,000 records of an early first run that was 80 MB/s. A retention of minutes would keep it small
too, but would delete, at the next start, what a stopped pipeline had not read yet. So the topics
keep records for days, and this deletes those that the offset log says are decided, but for the
newest.
"""

from __future__ import annotations

from collections.abc import Mapping

from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings

#: Decided records of a partition that stay: enough to look at. With 2,000 of them the broker wrote
#: 5.4 MB/s, alone more than the whole profile may.
KEPT_RECORDS = 500


def deletable_below(state: LogState) -> dict[int, int]:
    """Per partition, the offset below which everything is decided and old enough to go."""
    undecided: dict[int, int] = {}
    for plan in state.pending:
        for partition, offsets in plan.ranges.items():
            undecided[partition] = min(undecided.get(partition, offsets.start), offsets.start)
    return {
        partition: max(0, undecided.get(partition, end) - KEPT_RECORDS)
        for partition, end in state.next_offsets.items()
    }


class Trimmer:
    """Trims the topics of all feeds; keeps its connections."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._kafka = KafkaControl(settings.kafka)
        lake = Lake(settings.aws)
        self._logs = {name: OffsetLog(lake, name) for name in settings.feeds}

    def trim(self) -> Mapping[str, int]:
        """Delete what is decided; returns the number of records deleted by topic.

        Raises:
            KafkaUnavailableError: The broker does not answer.
        """
        deleted = {}
        topics = [feed.topic for feed in self.settings.feeds.values()]
        polled = self._kafka.topic_offsets(topics)
        for name, feed in self.settings.feeds.items():
            offsets = polled[feed.topic]
            if offsets is None:
                continue
            below = {
                partition: offset
                for partition, offset in deletable_below(self._logs[name].state()).items()
                if partition in offsets.partitions
                and offsets.partitions[partition].beginning < offset
                and offset <= offsets.partitions[partition].end
            }
            if below:
                self._kafka.delete_records(feed.topic, below)
                deleted[feed.topic] = sum(
                    offset - offsets.partitions[p].beginning for p, offset in below.items()
                )
        return deleted
