"""What only the broker knows of a topic's health: time until loss, and the last record read."""

from __future__ import annotations

import time
from datetime import timedelta

from stock_pipeline.ingest.anchors import topic_change
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.topics.health import Findings, first_unread
from stock_pipeline.ingest.topics.losses import LOSS_SHOWN, loss_sentences
from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock
from stock_pipeline.settings import FeedSettings

#: How long a topic's retention is kept before it is asked for again.
ASK_RETENTION_SECONDS = 300.0
LAST_BATCHES = 200


class TopicWatch:
    """Asks the broker; keeps each topic's retention for a few minutes."""

    def __init__(self, kafka: KafkaControl, clock: Clock = system_clock) -> None:
        self.kafka = kafka
        self.clock = clock
        self._retention: dict[str, tuple[float, float | None]] = {}

    def seconds_left(
        self, feed: FeedSettings, state: LogState, offsets: TopicOffsets
    ) -> float | None:
        """Seconds until retention may delete an unread record, None while that is far away.

        Far away means more than `loss_warning_share` of the retention. One request for all
        partitions tells that. Brokers delete whole segments, so records are deleted later than
        this says. Retention by size is not foreseen.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        unread = first_unread(state, offsets)
        if not unread or (retention := self._retention_of(feed)) is None:
            return None
        warned_of = self.clock() - timedelta(seconds=retention * (1 - feed.loss_warning_share))
        first_young = self.kafka.offsets_at(feed.topic, list(unread), warned_of)
        old = any(
            (young := first_young.get(p)) is None or young > start for p, start in unread.items()
        )
        return self.seconds_until_loss(feed, state, offsets) if old else None

    def seconds_until_loss(
        self, feed: FeedSettings, state: LogState, offsets: TopicOffsets
    ) -> float | None:
        """Seconds until retention may delete an unread record, None where nothing is unread.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        unread = first_unread(state, offsets)
        if not unread or (retention := self._retention_of(feed)) is None:
            return None
        asked = {(feed.topic, partition): start for partition, start in unread.items()}
        oldest = min(self.kafka.oldest_timestamps(asked, retention).values())
        return max(0.0, oldest + retention - self.clock().timestamp())

    def findings(
        self, feed: FeedSettings, log: OffsetLog, state: LogState, offsets: TopicOffsets | None
    ) -> Findings:
        """All findings as of now; reads the last record of each partition.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        if offsets is None:
            return Findings()
        since = naive_utc(self.clock) - LOSS_SHOWN
        commits = log.commits(max(-1, state.next_seq - 1 - LAST_BATCHES))
        losses = [
            sentence
            for commit in commits
            if commit.committed_at > since
            for sentence in loss_sentences(commit, state.incarnation)
        ]
        return Findings(
            self.seconds_left(feed, state, offsets),
            topic_change(self.kafka.settings, feed.topic, state, offsets),
            tuple(losses),
        )

    def _retention_of(self, feed: FeedSettings) -> float | None:
        """Seconds that the broker keeps records; None for ever."""
        asked_at, retention = self._retention.get(feed.topic, (0.0, None))
        if not asked_at or time.monotonic() - asked_at > ASK_RETENTION_SECONDS:
            retention = self.kafka.retention_seconds(feed.topic, feed.retention_minutes * 60.0)
            self._retention[feed.topic] = time.monotonic(), retention
        return retention
