"""Random histories of an offset log: what the world, our processes and a person may do to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from stock_pipeline.ingest.decide import ingest
from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.ingest.documents import Decision, Plan
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.offsets import NoPlan, Triggers, adopt, plan_next
from stock_pipeline.ingest.rejects.quarantine import QuarantineReader
from stock_pipeline.ingest.rejects.rereads import RereadError, requeue, supersede
from stock_pipeline.lake import layout
from stock_pipeline_tests.support.model import Crash, ModelLake, ModelReader, ModelTopic

FEED = "model_feed"
#: An old decoder that rejects long messages, and a mended one that takes them.
DECODERS = [Decoder("trade", "trades", "24/7", [], limit) for limit in (200, 1_000_000)]
LONG_VENUE = "X" * 200
START = datetime(2026, 1, 2)


class OffsetLogHistory(RuleBasedStateMachine):
    """Any number of planners and runs on one log; every step may be a process's last."""

    def __init__(self) -> None:
        super().__init__()
        self.lake: Any = ModelLake()
        self.now = START
        self.prepared: list[Plan] = []
        self.attempts = 0
        self.max_records = 5
        #: Payload that each offset had, by (incarnation, partition).
        self.truth: dict[tuple[int, int], dict[int, bytes | None]] = {}
        self.adopted = True
        self.decisions: dict[str, Decision] = {}

    @initialize(partitions=st.integers(1, 3), ids=st.booleans())
    def start(self, partitions: int, ids: bool) -> None:
        self.topic = self._new_topic(partitions, life=1)
        self.topic.gives_topic_id = ids
        self.logs = [OffsetLog(self.lake, FEED) for _ in range(2)]

    # --- the broker: the tests on Apache Kafka put a real one in its place ---

    def _new_topic(self, partitions: int, life: int) -> ModelTopic:
        return ModelTopic(partitions, life)

    def _new_reader(self, expire: int) -> Any:
        return ModelReader(self.topic, chunk=2, expire_while_reading=expire)

    # --- the world ---

    @rule(
        data=st.data(),
        count=st.integers(1, 6),
        kind=st.sampled_from(["good", "long", "bad", "null"]),
    )
    def produce(self, data: st.DataObject, count: int, kind: str) -> None:
        partition = data.draw(st.sampled_from(sorted(self.topic.records)))
        for _ in range(count):
            payload = {
                "good": self.topic.trade(partition),
                "long": self.topic.trade(partition, venue=LONG_VENUE),
                "bad": b"{",
                "null": None,
            }[kind]
            life = self.truth.setdefault((self.topic.life, partition), {})
            life[self.topic.end[partition]] = payload
            self.topic.append(partition, payload)

    @rule(data=st.data())
    def leave_a_hole(self, data: st.DataObject) -> None:
        self.topic.append_hole(data.draw(st.sampled_from(sorted(self.topic.records))))

    @rule(data=st.data(), count=st.integers(1, 4))
    def expire(self, data: st.DataObject, count: int) -> None:
        self.topic.expire(data.draw(st.sampled_from(sorted(self.topic.records))), count)

    @precondition(lambda self: len(self.topic.records) < 4)
    @rule()
    def grow(self) -> None:
        self.topic.add_partition()

    @precondition(lambda self: self.adopted and self.topic.life < 3)
    @rule(partitions=st.integers(1, 3))
    def recreate(self, partitions: int) -> None:
        ids = self.topic.gives_topic_id
        self.topic = self._new_topic(partitions, self.topic.life + 1)
        self.topic.gives_topic_id = ids
        self.adopted = False

    @rule(seconds=st.integers(-30, 60))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # --- us ---

    def _has(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key in self.lake.objects)

    def _triggers(self) -> Triggers:
        return Triggers(3, 10, self.max_records, 10**9, 3)

    @rule(which=st.integers(0, 1), force=st.booleans())
    def prepare_a_plan(self, which: int, force: bool) -> None:
        """A planner folds the log and decides; it may be slow to write, or never write."""
        if not self.adopted:
            return
        plan = self._next_plan(which, force)
        if isinstance(plan, Plan):
            self.prepared.append(plan)

    def _next_plan(self, which: int, force: bool) -> Plan | NoPlan:
        return plan_next(
            self.logs[which].state(),
            self.topic.offsets(),
            self._triggers(),
            topic="model",
            decoder_version="1",
            now=self.now,
            force=force,
        )

    @precondition(lambda self: self.prepared)
    @rule(data=st.data(), which=st.integers(0, 1))
    def write_a_plan(self, data: st.DataObject, which: int) -> None:
        plan = self.prepared.pop(data.draw(st.integers(0, len(self.prepared) - 1)))
        self.logs[which].put_plan(plan)

    @precondition(lambda self: self.adopted)
    @rule(data=st.data(), which=st.integers(0, 1), mended=st.booleans())
    def nothing_goes_wrong(self, data: st.DataObject, which: int, mended: bool) -> None:
        """Most days are like this one; without it hardly a history has decided batches."""
        for kind in ("good", "long"):
            self.produce(data, 2, kind)
        plan = self._next_plan(which, force=True)
        if isinstance(plan, Plan) and self.logs[which].put_plan(plan):
            self._attempt(plan.seq, which=which, mended=mended)

    @precondition(lambda self: self.adopted and self._has(layout.commit_prefix(FEED)))
    @rule(
        data=st.data(),
        which=st.integers(0, 1),
        asks=st.lists(
            st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 3)),
            min_size=1,
            max_size=3,
        ),
    )
    def a_person_asks_for_records_again(
        self, data: st.DataObject, which: int, asks: list[tuple[bool, bool, bool, int]]
    ) -> None:
        """A whole batch from Kafka, or its rejects, perhaps several times over.

        The plan may be written late, or never; retention may pass while it is read.
        """
        decisions = [c.decision for c in self.logs[which].commits()]
        old = data.draw(st.sampled_from([d for d in decisions if self._rejects(d)] or decisions))
        for whole, at_once, mended, expire in asks:
            plan = self._plan_again(which, old, whole)
            if plan and at_once and self.logs[which].put_plan(plan):
                self._attempt(plan.seq, expire=expire, which=which, mended=mended)
            elif plan:
                self.prepared.append(plan)

    def _plan_again(self, which: int, old: Decision, whole: bool) -> Plan | None:
        state, now = self.logs[which].state(), self.now
        rejects: dict[int, list[int]] = {}
        for partition, offset in self._rejects(old):
            rejects.setdefault(partition, []).append(offset)
        try:
            if whole:
                offsets = self.topic.offsets()
                return supersede(state, old, offsets, decoder_version="2", now=now)
            return requeue(state, old, rejects, decoder_version="2", now=now)
        except RereadError:
            return None

    @rule(which=st.integers(0, 1))
    def a_process_restarts(self, which: int) -> None:
        """Whatever it had cached is gone, as if Dagster's storage was deleted (I4)."""
        self.logs[which] = OffsetLog(self.lake, FEED)

    @rule(which=st.integers(0, 1))
    def write_a_checkpoint(self, which: int) -> None:
        self.logs[which].write_checkpoint()

    @precondition(lambda self: self.adopted and self._has(layout.plan_prefix(FEED)))
    @rule(
        data=st.data(),
        crash=st.none() | st.integers(0, 3),
        after=st.booleans(),
        expire=st.integers(0, 2),
        which=st.integers(0, 1),
        rival=st.booleans(),
        mended=st.booleans(),
    )
    def run_an_attempt(
        self,
        data: st.DataObject,
        crash: int | None,
        after: bool,
        expire: int,
        which: int,
        rival: bool,
        mended: bool,
    ) -> None:
        """A run at any plan, decided or not.

        It may die before or after any write, and a rival, with the other decoder, may decide the
        batch just before it does.
        """
        plans = list(self.lake.list(layout.plan_prefix(FEED)))
        key = data.draw(st.sampled_from([entry.key for entry in plans[-4:]]))
        seq = layout.seq_of_key(key)
        if rival:
            self.lake.before_bronze = lambda: self._attempt(seq, which=1 - which, mended=not mended)
        self._attempt(seq, crash, after, expire, which, mended)
        self.lake.before_bronze = None

    def _attempt(
        self,
        seq: int,
        crash: int | None = None,
        after: bool = False,
        expire: int = 0,
        which: int = 0,
        mended: bool = False,
    ) -> None:
        log = self.logs[which]
        plan = log.plan_of(seq)
        assert plan is not None
        if plan.kind == "adopt":
            return
        reader: Any = self._new_reader(expire)
        if plan.offsets is not None:
            old = log.commit_of(plan.replay_of[0])
            assert old
            assert old.decision.quarantine_key
            reader = QuarantineReader(self.lake, old.decision.quarantine_key, plan.offsets)
        self.attempts += 1
        self.lake.writes_until_crash, self.lake.crash_after_effect = crash, after
        try:
            ingest(
                log,
                plan,
                log.state(),
                reader,
                self.topic.offsets,
                DECODERS[mended],
                "trade",
                attempt=f"{self.attempts}",
                run_id=f"run-{self.attempts}",
            )
        except Crash:
            self.logs[which] = OffsetLog(self.lake, FEED)
        finally:
            self.lake.writes_until_crash = None

    @precondition(lambda self: not self.adopted)
    @rule(which=st.integers(0, 1))
    def a_changed_topic_stops_the_feed_until_it_is_adopted(self, which: int) -> None:
        state = self.logs[which].state()
        read_before = any(end > 0 for end in state.next_offsets.values())
        detectable = self.topic.gives_topic_id or any(
            state.next_offsets.get(p, 0) > end for p, end in self.topic.end.items()
        )
        if state.topic_id and read_before and detectable:
            with pytest.raises(TopicChangedError):
                self._next_plan(which, force=True)
        self.prepared.clear()
        opened = adopt(
            state, self.topic.offsets(), topic="model", decoder_version="1", now=self.now
        )
        assert self.logs[which].put_plan(opened)
        # Incarnations count adoptions, lives count re-creations: both by one.
        assert opened.incarnation == self.topic.life
        self.adopted = True

    # --- what readers of the objects see ---

    def _rejects(self, decision: Decision) -> list[tuple[int, int]]:
        """What the footer's quarantine object has; until the commit, its attempt's."""
        key = decision.quarantine_key
        if key is None:
            return []
        if key not in self.lake.objects:
            key = layout.attempt_key(FEED, decision.plan.seq, decision.attempt)
        found: list[tuple[int, int]] = self.lake.coordinates(key)
        return found
