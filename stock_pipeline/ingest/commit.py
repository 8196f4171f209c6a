"""Write down what a batch decided."""

from __future__ import annotations

from stock_pipeline.errors import InternalError
from stock_pipeline.ingest.documents import Commit, Decision
from stock_pipeline.ingest.log_state import DamagedLogError
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import ObjectNotFoundError
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock


def read_decision(log: OffsetLog, key: str) -> Decision | None:
    """The decision in the footer of a batch's bronze object; None while the batch is undecided."""
    try:
        footer = log.lake.read_footer(key)
    except ObjectNotFoundError:
        return None
    if footer is None:
        raise DamagedLogError(
            f"{log.lake.uri(key)} has no {FOOTER_KEY.decode()} entry in its footer, so it was not "
            "written by this pipeline: move it away; its batch will be written again."
        )
    return Decision.model_validate_json(footer)


def commit_decision(log: OffsetLog, decision: Decision, clock: Clock = system_clock) -> Commit:
    """Show the rejects of a decided batch and write, or find, its index entry."""
    seq = decision.plan.seq
    publish_rejects(log, decision)
    entry = log.lake.head(decision.object_key)
    if entry is None:
        raise InternalError(f"{log.lake.uri(decision.object_key)} of batch {seq} is gone.")
    log.put_commit(
        Commit(
            decision=decision,
            object_bytes=entry.size,
            object_etag=entry.etag,
            committed_at=naive_utc(clock),
        )
    )
    commit = log.commit_of(seq)
    if commit is None:
        raise InternalError(
            f"The commit of batch {seq} of feed {log.feed} was written and is gone."
        )
    return commit


def publish_rejects(log: OffsetLog, decision: Decision) -> None:
    """Copy the deciding attempt's rejects to where readers look.

    Only after the decision: otherwise the rejects of an attempt that did not decide would be read
    as well.
    """
    key = decision.quarantine_key
    if key and log.lake.head(key) is None:
        plan = decision.plan
        log.lake.copy(layout.attempt_key(plan.feed, plan.seq, decision.attempt), key)
