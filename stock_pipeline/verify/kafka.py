"""What Kafka still holds of decided batches, for `verify`: read again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stock_pipeline.ingest.digest import Reread, reread
from stock_pipeline.ingest.documents import Decision, Plan
from stock_pipeline.ingest.identity import TopicChangedError, check_topic
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.reading import Reader
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.verify.log_checker import LogChecker
from stock_pipeline.verify.report import Check, Kind, VerifyFinding
from stock_pipeline.verify.rows import Tally


@dataclass(frozen=True)
class Compared:
    """A decided batch beside what Kafka has of it now.

    Attributes:
        difference: Sentence about other records than were decided; "" where there is none.
        note: Why not all could be compared; "" when it was.
    """

    difference: str = ""
    note: str = ""


class BrokerVerifier:
    """Compares one feed's decided batches with the topic.

    Args:
        feed: Name of the feed.
        topic: Its topic.
        offsets: What the broker says of the topic; None where it does not exist.
        reader: Reads ranges.
        latest: The log's last plan of its own, for the incarnation; None in an empty log.
        state: The log, folded before `offsets` were asked for; None where plans are missing.
    """

    def __init__(
        self,
        feed: str,
        topic: str,
        offsets: TopicOffsets | None,
        reader: Reader,
        latest: Plan | None,
        state: LogState | None,
    ) -> None:
        self.feed, self.topic, self.offsets = feed, topic, offsets
        self.findings = list(_changed(state, topic, offsets)) if state and offsets else []
        self.notes: list[str] = []
        #: Nothing can be compared with another topic, or with one that does not answer.
        self._useless = bool(self.findings)
        self._reader, self._latest = reader, latest
        self._compared = self._gone = self._bytes = 0

    def compare(self, decision: Decision, bronze: Tally, rejects: Tally, sound: bool) -> None:
        """Read a batch again, where Kafka can still have it.

        Args:
            decision: What the batch became.
            bronze: Its rows, counted.
            rejects: Its whole rejects, counted.
            sound: Whether its objects hold what the decision says.
        """
        if self._useless or decision.plan.offsets is not None:
            return  # The latter was read from quarantine.
        if not self._same_incarnation(decision.plan) or not self._kept(decision):
            self._gone += 1
            return
        try:
            again = reread(decision, self._reader)
        except KafkaUnavailableError as error:
            self._useless = True
            sentence = f"From batch {decision.plan.seq} on, Kafka was not compared: {error}"
            action = "stock-pipeline doctor says what is wrong with it."
            self.findings.append(
                VerifyFinding(Kind.NOT_COMPARED, sentence, self.topic, action, self.feed)
            )
            return
        self._bytes += again.payload_bytes
        outcome = compared(again, decision.plan.seq, bronze, rejects)
        if outcome.note:
            self._gone += 1
            self.notes.append(f"{self.feed}: {outcome.note}")
        else:
            self._compared += 1
        if outcome.difference and sound:
            self.findings.append(
                VerifyFinding(
                    Kind.OTHER_RECORDS,
                    outcome.difference,
                    self.topic,
                    "The decided object stays as it is. If the topic was truncated or recreated: "
                    f"stock-pipeline feed adopt {self.feed}",
                    self.feed,
                    decision.plan.seq,
                )
            )

    def beginnings(self, incarnation: int, checker: LogChecker) -> Iterator[VerifyFinding]:
        """Partitions whose first records belong to no batch, and Kafka has them (I7).

        Args:
            incarnation: The topic's one of now.
            checker: Has followed the log from its first plan.
        """
        if self.offsets is None or self._useless:
            return
        for (number, partition), ledger in sorted(checker.ledgers.items()):
            polled = self.offsets.partitions.get(partition)
            if number != incarnation or polled is None:
                continue
            first = checker.first_offset(incarnation, partition)
            begins = polled.beginning if first is None else max(first, polled.beginning)
            if begins < ledger.start:
                yield VerifyFinding(
                    Kind.GAP,
                    f"Offsets {begins} to {ledger.start - 1} of {self.topic} partition "
                    f"{partition} (incarnation {incarnation}) belong to no batch, and Kafka has "
                    "them: the partition was not begun at its beginning.",
                    self.topic,
                    f"Read the topic from its beginning: stock-pipeline feed adopt {self.feed}",
                    self.feed,
                )

    def check(self) -> Check:
        """What was compared."""
        if self.offsets is None:
            return Check(f"{self.feed}: Kafka", f"there is no topic {self.topic}", 0, 0, self.feed)
        gone = f"; {self._gone:,} no longer whole in Kafka" if self._gone else ""
        sentence = f"{counted(self._compared, 'batch')} read again from {self.topic}{gone}"
        return Check(f"{self.feed}: Kafka", sentence, self._bytes, len(self.findings), self.feed)

    def _same_incarnation(self, plan: Plan) -> bool:
        if self.offsets is None or self._latest is None or plan.topic != self.topic:
            return False
        now = self.offsets.topic_id
        same_id = plan.topic_id is None or now is None or plan.topic_id == now
        return same_id and plan.incarnation == self._latest.incarnation

    def _kept(self, decision: Decision) -> bool:
        """Whether retention has not taken any record of the batch."""
        return self.offsets is not None and all(
            (polled := self.offsets.partitions.get(partition)) is not None
            and polled.beginning <= _first_read(decision, partition)
            for partition in decision.partitions
        )


def _changed(state: LogState, topic: str, offsets: TopicOffsets) -> Iterator[VerifyFinding]:
    try:
        check_topic(state, topic, offsets)
    except TopicChangedError as error:
        action = f"stock-pipeline feed adopt {state.feed}"
        yield VerifyFinding(Kind.TOPIC_CHANGED, str(error), topic, action, state.feed)


def compared(again: Reread, seq: int, bronze: Tally, rejects: Tally) -> Compared:
    """Compare digests of a batch that was read again; then offsets, where these differ.

    Compaction removes records that were read: that is no difference.
    """
    if again.gone:
        return Compared(note=f"batch {seq}: {again.gone} Retention removed it.")
    if again.same:
        return Compared()
    removed = 0
    for partition, pieces in again.offsets.items():
        now = np.concatenate([np.array([], np.int64), *pieces])
        was = np.union1d(bronze.of(partition), rejects.of(partition))
        new = np.setdiff1d(now, was)
        if len(new):
            return Compared(
                f"Kafka has {len(new)} records of batch {seq} that the batch did not read, first "
                f"offset {new[0]} of partition {partition}."
            )
        removed += len(np.setdiff1d(was, now))
    if removed:
        note = f"compaction or retention removed {removed} records of batch {seq} from Kafka."
        return Compared(note=note)
    return Compared(
        f"The records of batch {seq} read otherwise than when it was decided: digest "
        f"{again.digest}, then {again.decided}."
    )


def _first_read(decision: Decision, partition: int) -> int:
    count = decision.partitions[partition]
    first = count.start
    for lost in count.lost_ranges:
        if lost.start <= first < lost.end:
            first = lost.end
    return first
