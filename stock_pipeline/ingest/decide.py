"""One batch from Kafka to its decided bronze object.

The order of the steps is what makes it exactly once:

1. Write the rejects of this attempt under a key that no reader looks at.
2. Write the bronze object with put-if-absent. This decides the batch.
3. Copy the rejects to where readers look.
4. Write the commit.

If a process dies between two steps, the next attempt finds what is there and goes on.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stock_pipeline.errors import InternalError, UserError
from stock_pipeline.ingest.anchors import verify_topic
from stock_pipeline.ingest.batch_files import BatchFiles
from stock_pipeline.ingest.commit import commit_decision, read_decision
from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.ingest.digest import Reread, reread
from stock_pipeline.ingest.documents import Commit, Plan
from stock_pipeline.ingest.identity import check_topic
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.reading import OffsetPoll, Reader
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import PreconditionFailedError
from stock_pipeline.lib.clock import Clock, system_clock

if TYPE_CHECKING:
    import pyarrow as pa


class DiskFullError(UserError):
    """The local disk has no room for a batch's temporary files; nothing was decided."""


@dataclass(frozen=True)
class Ingested:
    """A batch after its run.

    Attributes:
        commit: The batch's index entry, whoever decided it.
        decided_here: False when another attempt's object was there already.
        reread: Of a batch that was decided before: what Kafka holds of it now; None of others, and
            where its records do not come from the topic of today.
        preview: First rows of the bronze object that this run made; None when it made none.
        rejects_preview: First rejects of this run; None when it made none.
    """

    commit: Commit
    decided_here: bool
    reread: Reread | None = None
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
    clock: Clock = system_clock,
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
        clock: Dates the commit.

    Raises:
        TopicChangedError: The topic was truncated or recreated; nothing was written.
        KafkaUnavailableError: The brokers broke off; nothing was decided.
        DiskFullError: No room for the temporary files; nothing was decided.
    """
    # Rejects are read from the lake, so it does not matter which incarnation they came from.
    from_quarantine = plan.offsets is not None
    abandoned = plan.incarnation < state.incarnation and not from_quarantine
    key = layout.bronze_key(plan.feed, plan.seq, plan.arrival_date)
    found = read_decision(log, key)
    if found:
        commit = commit_decision(log, found, clock)
        now = None if abandoned or from_quarantine else reread(found, reader)
        return Ingested(commit, decided_here=False, reread=now)

    if not abandoned and not from_quarantine:
        verify_topic(plan, state, reader, poll)
    with (
        _full_disk_explained(plan),
        tempfile.TemporaryDirectory(prefix="stock_pipeline_") as folder,
    ):
        batch = BatchFiles(plan, decoder, message_format, Path(folder))
        with closing(batch):
            batch.read_all(plan.ranges, None if abandoned else reader, poll)
        if plan.kind == "replay" and not from_quarantine and not _same_records(log, plan, batch):
            # Beside the files of the first read, which are still open.
            again = Path(folder, "lost")
            again.mkdir()
            batch = BatchFiles(plan, decoder, message_format, again)
            with closing(batch):
                batch.read_all(plan.ranges, None, poll)
        if not abandoned and not from_quarantine:
            # If the topic was recreated meanwhile, some of what was read may be the new topic's.
            check_topic(state, plan.topic, poll())
        quarantine_key = None
        if batch.rejects or batch.partial_rejects:
            quarantine_key = layout.quarantine_key(plan.feed, plan.seq, plan.arrival_date)
            with batch.seal_rejects().open("rb") as file:
                log.lake.put(layout.attempt_key(plan.feed, plan.seq, attempt), file)
        decision = batch.decision(key, quarantine_key, attempt, run_id)
        with batch.seal(decision).open("rb") as file:
            try:
                log.lake.put_if_absent(key, file)
                decided_here = True
            except PreconditionFailedError:
                decided_here = False
    # Read back in both cases: only what the store holds counts. A PUT whose answer was lost, and
    # that was sent again, meets its own object.
    decided = read_decision(log, key)
    if decided is None:
        raise InternalError(
            f"{log.lake.uri(key)} was written and is gone: does the store honour put-if-absent?"
        )
    return Ingested(
        commit_decision(log, decided, clock),
        decided_here or decided.run_id == run_id,
        preview=batch.preview,
        rejects_preview=batch.rejects_preview,
    )


def _same_records(log: OffsetLog, plan: Plan, batch: BatchFiles) -> bool:
    """Whether a batch that is read again has exactly the records that it had.

    If retention or compaction removed some, or there are others, replacing it would lose rows.
    """
    olds = [log.commit_of(seq) for seq in plan.replay_of]
    return [old and old.decision.digest for old in olds] == [batch.digest]


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
