"""The offset log folded into a state, and the state as a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from stock_pipeline.ingest.documents import OffsetRange, Plan
from stock_pipeline.ingest.log_state import DamagedLogError, LogState, checkpoint_of, fold

NOW = datetime(2026, 11, 20, 15, 0)
KNOWN = LogState(
    "f", next_seq=1, next_offsets={0: 50}, last_planned_at=NOW, decided_through=0, topic_id="a"
)
PLAN = Plan(
    feed="f",
    topic="t",
    seq=0,
    planned_at=NOW,
    decoder_version="1",
    ranges={0: OffsetRange(start=0, end=9)},
)


def test_a_missing_plan_stops_the_fold():
    with pytest.raises(DamagedLogError, match="has no plan 0, but has 7"):
        fold("f", None, [PLAN.model_copy(update={"seq": 7})], {})


def test_a_checkpoint_waits_for_pending_batches():
    assert checkpoint_of(replace(KNOWN, pending=(PLAN,))) is None
    checkpoint = checkpoint_of(KNOWN)
    assert checkpoint
    assert fold("f", checkpoint, [], {}) == KNOWN


@pytest.mark.parametrize(
    ("ends", "decided"),
    [({0: 9}, True), ({0: 50}, True), ({0: 51}, False), ({0: 9, 1: 1}, False), ({}, True)],
)
def test_what_lies_below_the_next_offsets_is_decided(ends, decided):
    assert KNOWN.has_decided(ends) is decided


def test_what_is_planned_is_not_yet_decided():
    plan = PLAN.model_copy(update={"ranges": {0: OffsetRange(start=40, end=50)}})
    waiting = replace(KNOWN, pending=(plan,))
    assert waiting.has_decided({0: 40})
    assert not waiting.has_decided({0: 41})
