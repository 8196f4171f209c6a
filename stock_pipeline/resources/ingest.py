"""One batch from Kafka to its decided bronze object.

The order of the steps is the promise: rejects, then the bronze object with put-if-absent, then the
commit. Whatever dies between two of them, the next attempt finds what is there and goes on.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from stock_pipeline.lib import layout
from stock_pipeline.lib.batches import FOOTER_KEY, Commit, Decision, Plan
from stock_pipeline.lib.decode import Decoder
from stock_pipeline.lib.offsets import LogState, TopicChangedError, check_topic
from stock_pipeline.resources.batch_files import BatchFiles, OffsetPoll, Reader
from stock_pipeline.resources.lake import PreconditionFailedError
from stock_pipeline.resources.offset_log import OffsetLog

if TYPE_CHECKING:
    import pyarrow as pa


class DiskFullError(Exception):
    """The local disk has no room for a batch's temporary files; nothing was decided."""


@dataclass(frozen=True)
class Ingested:
    """A batch after its run.

    Attributes:
        commit: The batch's index entry, whoever decided it.
        decided_here: False when another attempt's object was there already.
        preview: First rows of the bronze object that this run made, None when it made none.
        rejects_preview: First rejects, likewise.
    """

    commit: Commit
    decided_here: bool
    preview: pa.Table | None = None
    rejects_preview: pa.Table | None = None


def ingest(
    log: OffsetLog,
    plan: Plan,
    state: LogState,
    reader: Reader,
    poll: OffsetPoll,
    decoder: Decoder,
    message_format: str,
    *,
    attempt: str,
    run_id: str,
) -> Ingested:
    """Bring a planned batch to its decision and commit; idempotent, harmless when late.

    Args:
        log: The feed's offset log.
        plan: The batch.
        state: The folded log, for the anchors of decided batches.
        reader: Reads ranges.
        poll: Polls the topic's offsets.
        decoder: Decoder of the feed's format.
        message_format: Format of the feed.
        attempt: Label of this attempt, unique to the run; part of the quarantine key.
        run_id: Dagster's run.

    Raises:
        TopicChangedError: The topic was truncated or recreated; nothing was written.
        KafkaUnavailableError: The brokers broke off; nothing was decided.
        DiskFullError: No room for the temporary files; nothing was decided.
    """
    key = layout.bronze_key(plan.feed, plan.seq, plan.arrival_date)
    found = read_decision(log, key)
    if found:
        return Ingested(commit_decision(log, found), decided_here=False)

    abandoned = plan.incarnation < state.incarnation
    if not abandoned:
        verify_topic(plan, state, reader, poll)
    with (
        _full_disk_explained(plan),
        tempfile.TemporaryDirectory(prefix="stock_pipeline_") as folder,
    ):
        batch = BatchFiles(plan, decoder, message_format, Path(folder))
        with closing(batch):
            for partition, offsets in sorted(plan.ranges.items()):
                if abandoned:
                    batch.lose(partition, offsets)
                else:
                    batch.read(reader, poll, partition, offsets)
        quarantine_key = None
        if batch.rejects or batch.partial_rejects:
            quarantine_key = layout.quarantine_key(plan.feed, plan.seq, plan.arrival_date, attempt)
            with batch.seal_rejects().open("rb") as file:
                log.lake.put(quarantine_key, file)
        decision = batch.decision(key, quarantine_key, attempt, run_id)
        with batch.seal(decision).open("rb") as file:
            try:
                log.lake.put_if_absent(key, file)
                decided_here = True
            except PreconditionFailedError:
                decided_here = False
    # Read back in both cases: a PUT whose answer was lost meets its own object, and only what the
    # store holds counts.
    decided = read_decision(log, key)
    if decided is None:
        raise RuntimeError(
            f"{log.lake.uri(key)} was written and is gone: does the store honour put-if-absent?"
        )
    return Ingested(
        commit_decision(log, decided),
        decided_here or decided.run_id == run_id,
        batch.preview,
        batch.rejects_preview,
    )


@contextmanager
def _full_disk_explained(plan: Plan) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"The disk of {tempfile.gettempdir()} is full: batch {plan.seq} of feed {plan.feed} "
            "was not decided, its records wait in Kafka and it is asked for again. Free space "
            "there, or set TMPDIR to another disk."
        ) from error


def read_decision(log: OffsetLog, key: str) -> Decision | None:
    """What the footer of a batch's bronze object says, None while the batch is undecided."""
    try:
        footer = log.lake.read_footer(key)
    except FileNotFoundError:
        return None
    if footer is None:
        raise ValueError(
            f"{log.lake.uri(key)} has no {FOOTER_KEY.decode()} entry in its footer, so it was not "
            "written by this pipeline: move it away; its batch will be written again."
        )
    return Decision.model_validate_json(footer)


def commit_decision(log: OffsetLog, decision: Decision) -> Commit:
    """Write, or find, the index entry of a decided batch."""
    seq = decision.plan.seq
    entry = log.lake.head(decision.object_key)
    if entry is None:
        raise RuntimeError(f"{log.lake.uri(decision.object_key)} of batch {seq} is gone.")
    log.put_commit(
        Commit(
            decision=decision,
            object_bytes=entry.size,
            object_etag=entry.etag,
            committed_at=datetime.now(UTC).replace(tzinfo=None),
        )
    )
    commit = log.commit_of(seq)
    if commit is None:
        raise RuntimeError(f"The commit of batch {seq} of feed {log.feed} was written and is gone.")
    return commit


def verify_topic(plan: Plan, state: LogState, reader: Reader, poll: OffsetPoll) -> None:
    """Check that the topic is still the one whose records were decided before (I5).

    Re-reads the last record of each partition that has one: a record that compaction or retention
    removed proves nothing, another one in its place proves another topic.

    Raises:
        TopicChangedError: It is another topic, or was truncated.
    """
    offsets = poll()
    check_topic(state, plan.topic, offsets)
    for partition in plan.ranges:
        anchor = state.anchors.get(partition)
        polled = offsets.partitions.get(partition)
        if anchor is None or polled is None or anchor.offset < polled.beginning:
            continue
        record = reader.record_at(partition, anchor.offset)
        if record is not None and record != (anchor.timestamp, anchor.digest):
            raise TopicChangedError(
                f"Topic {plan.topic} partition {partition} has another record at offset "
                f"{anchor.offset} than when it was read: truncated or recreated. Batch {plan.seq} "
                f"read nothing; to go on: stock-pipeline feed adopt {plan.feed}"
            )
