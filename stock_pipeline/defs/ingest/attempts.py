"""Runs of batches and their attempts, found by tag."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from stock_pipeline.defs.ingest.assets import TOPIC_CHANGED_TAG
from stock_pipeline.ingest.planner import Attempt
from stock_pipeline.lib.clock import Clock, system_clock

if TYPE_CHECKING:
    from stock_pipeline.ingest.documents import Plan

FEED_TAG, SEQ_TAG, ATTEMPT_TAG = (
    "stock_pipeline/feed",
    "stock_pipeline/batch",
    "stock_pipeline/attempt",
)


class BatchRuns:
    """The runs of undecided batches, as Dagster's storage knows them."""

    def __init__(self, instance: dg.DagsterInstance, clock: Clock = system_clock) -> None:
        self._instance, self._clock = instance, clock
        self._changed: list[tuple[Plan, str]] = []

    def attempts(self, plan: Plan) -> list[Attempt]:
        """Runs that were started for a plan."""
        records = self._instance.get_run_records(
            dg.RunsFilter(tags={FEED_TAG: plan.feed, SEQ_TAG: str(plan.seq)})
        )
        sentences = (record.dagster_run.tags.get(TOPIC_CHANGED_TAG) for record in records)
        self._changed += [(plan, sentence) for sentence in sentences if sentence]
        now = self._clock().timestamp()
        return [_attempt(record, now) for record in records]

    def topic_changed(self, incarnation: int) -> str:
        """What a run of a still undecided batch of this incarnation said of it, or ""."""
        said = (s for plan, s in self._changed if plan.incarnation == incarnation)
        return next(said, "")


def _attempt(record: dg.RunRecord, now: float) -> Attempt:
    run = record.dagster_run
    created = record.create_timestamp.timestamp()
    # A queued run has not begun, however long others keep it waiting: it cannot have died.
    started = now if run.status is dg.DagsterRunStatus.QUEUED else created
    ended = record.end_time or now
    return Attempt(
        int(run.tags[ATTEMPT_TAG]),
        datetime.fromtimestamp(started, UTC).replace(tzinfo=None),
        datetime.fromtimestamp(ended, UTC).replace(tzinfo=None) if run.is_finished else None,
    )
