"""Replays that a person asks for, planned in the log; the sensor starts their runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.errors import TemporaryError
from stock_pipeline.ingest.decode import DECODER_VERSION
from stock_pipeline.ingest.documents import Commit, Plan
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.rejects.quarantine import OpenRejects
from stock_pipeline.ingest.rejects.rereads import RereadError, requeue, supersede
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock

#: How often to try for a sequence number while planners win the race for it.
MOST_TRIES = 10


class UndecidedError(TemporaryError):
    """Batches that were waited for are undecided; they stay planned."""


def plan_supersede(
    log: OffsetLog, seq: int, offsets: TopicOffsets, clock: Clock = system_clock
) -> Plan:
    """Plan to read a batch from Kafka again and to replace its rows.

    Raises:
        RereadError: There is no such decided batch, or it cannot be replaced.
    """
    commit = log.commit_of(seq)
    if commit is None:
        raise RereadError(
            f"Feed {log.feed} has no decided batch {seq}. Which batch holds a record: "
            "stock-pipeline where"
        )
    plan = _put(
        log,
        lambda state: supersede(
            state, commit.decision, offsets, decoder_version=DECODER_VERSION, now=naive_utc(clock)
        ),
    )
    assert plan is not None  # noqa: S101 - `supersede` plans or raises
    return plan


def plan_requeue(log: OffsetLog, found: OpenRejects, clock: Clock = system_clock) -> Plan | None:
    """Plan to decode the rejects of one batch again; None when all of them were replayed already.

    Bad bars inside accepted documents are not replayed: only a whole document can be, together with
    its batch.

    Raises:
        RereadError: The whole batch is being read again.
    """
    rejects = whole_rejects(found.rejects)
    return _put(
        log,
        lambda state: requeue(
            state, found.decision, rejects, decoder_version=DECODER_VERSION, now=naive_utc(clock)
        ),
    )


def whole_rejects(rejects: pa.Table) -> dict[int, list[int]]:
    """Offsets of records that were rejected as a whole, per partition."""
    whole = rejects.filter(pc.invert(rejects["partial"]))
    offsets: dict[int, list[int]] = {}
    for partition, offset in zip(
        whole["kafka_partition"].to_pylist(), whole["kafka_offset"].to_pylist(), strict=True
    ):
        offsets.setdefault(partition, []).append(offset)
    return offsets


def decided(log: OffsetLog, plans: list[Plan], seconds: float) -> Iterator[Commit]:
    """Wait for the runs that the sensor starts; yields the commit of each plan.

    Raises:
        UndecidedError: Some are undecided after `seconds`.
    """
    waiting = {plan.seq for plan in plans}
    give_up = time.monotonic() + seconds
    while waiting:
        for seq in sorted(waiting):
            commit = log.commit_of(seq)
            if commit:
                waiting.remove(seq)
                yield commit
        if waiting and time.monotonic() > give_up:
            raise UndecidedError(
                f"Batches {sorted(waiting)} of feed {log.feed} are undecided after {seconds:.0f} "
                "s; they stay planned and run when the sensor plan_batches does (stock-pipeline "
                "status)."
            )
        time.sleep(0.5)


def _put(log: OffsetLog, plan_of: Callable[[LogState], Plan | None]) -> Plan | None:
    for _ in range(MOST_TRIES):
        plan = plan_of(log.state())
        if plan is None or log.put_plan(plan):
            return plan
    raise RereadError(
        f"Other planners won {MOST_TRIES} numbers of feed {log.feed} in a row; nothing was "
        "planned. Try again."
    )
