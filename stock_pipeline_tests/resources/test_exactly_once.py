"""I1 to I7 over random histories: crashes between any two steps, rivals, holes, truncation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stock_pipeline.lib import layout
from stock_pipeline.lib.batches import Decision, Plan
from stock_pipeline.lib.decode import Decoder
from stock_pipeline.lib.offsets import TopicChangedError, Triggers, adopt, plan_next
from stock_pipeline.lib.replays import ReplayError, requeue, supersede
from stock_pipeline.resources.ingest import ingest, read_decision
from stock_pipeline.resources.offset_log import OffsetLog
from stock_pipeline.resources.quarantine import QuarantineReader
from stock_pipeline_tests.resources.model import Crash, ModelLake, ModelReader, ModelTopic

FEED = "model_feed"
#: An old decoder that rejects long messages, and a mended one that takes them.
DECODERS = [Decoder("trade", "trades", "24/7", [], limit) for limit in (200, 1_000_000)]
LONG_VENUE = "X" * 200
START = datetime(2026, 1, 2)


class OffsetLogMachine(RuleBasedStateMachine):
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
        self.incarnation = 1
        self.adopted = True
        self.decisions: dict[str, Decision] = {}
        self.coordinates: dict[str, list[tuple[int, int]]] = {}

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

    def _next_plan(self, which: int, force: bool) -> Plan | str:
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
        except ReplayError:
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
        self.incarnation = opened.incarnation
        # Incarnations count adoptions, lives count re-creations: both by one.
        assert opened.incarnation == self.topic.life
        self.adopted = True

    # --- what must hold at every moment ---

    def _decisions(self) -> list[Decision]:
        # Objects are never overwritten, as another invariant says: each is read once.
        for entry in self.lake.list(layout.bronze_prefix(FEED)):
            if entry.key not in self.decisions:
                decision = read_decision(self.logs[0], entry.key)
                assert decision
                self.decisions[entry.key] = decision
        return list(self.decisions.values())

    def _coordinates(self, key: str) -> list[tuple[int, int]]:
        if key not in self.coordinates:
            table = self.lake.table(key)
            columns = (table["kafka_partition"].to_pylist(), table["kafka_offset"].to_pylist())
            self.coordinates[key] = list(zip(*columns, strict=True))
        return self.coordinates[key]

    @invariant()
    def nothing_that_was_decided_is_ever_overwritten(self) -> None:
        assert not self.lake.overwritten

    def _accepted(self, decision: Decision) -> list[tuple[int, int]]:
        return self._coordinates(decision.object_key)

    def _rejects(self, decision: Decision) -> list[tuple[int, int]]:
        """What the footer's quarantine object has; until the commit, its attempt's."""
        key = decision.quarantine_key
        if key is None:
            return []
        if key not in self.lake.objects:
            key = layout.attempt_key(FEED, decision.plan.seq, decision.attempt)
        return self._coordinates(key)

    @invariant()
    def every_offset_of_a_decided_range_has_exactly_one_fate(self) -> None:
        """I1, I3 and I6, from what a reader of the objects sees."""
        for decision in self._decisions():
            rejected = self._rejects(decision)
            lost = [
                (p, o)
                for p, c in decision.partitions.items()
                for r in c.lost_ranges
                for o in range(r.start, r.end)
            ]
            everything = self._accepted(decision) + rejected + lost
            assert len(everything) == len(set(everything))
            assert decision.balanced
            for partition, count in decision.partitions.items():
                seen = {o for p, o in everything if p == partition}
                assert all(count.start <= o < count.end for o in seen)
                holes = set(range(count.start, count.end)) - seen
                assert len(holes) == count.holes
                truth = self.truth.get((decision.plan.incarnation, partition), {})
                if decision.plan.offsets is None:
                    assert not holes & truth.keys()
                else:
                    named = decision.plan.offsets[partition]
                    assert seen == {o for r in named for o in range(r.start, r.end)}
                assert all(
                    truth[o] in {b"{", None} or LONG_VENUE.encode() in (truth[o] or b"")
                    for p, o in rejected
                    if p == partition
                )

    @invariant()
    def no_record_counts_twice_or_not_at_all_however_often_it_was_read(self) -> None:
        decisions = self._decisions()
        superseded = {seq for d in decisions for seq in d.supersedes}
        standing = [d for d in decisions if d.plan.seq not in superseded]
        rows = [(d.plan.incarnation, *at) for d in standing for at in self._accepted(d)]
        assert len(rows) == len(set(rows))
        standing_rejects = {(d.plan.incarnation, *at) for d in standing for at in self._rejects(d)}
        for decision in decisions:
            for at in self._accepted(decision):
                kept = (decision.plan.incarnation, *at)
                assert kept in standing_rejects or kept in rows

    @invariant()
    def nobody_sees_rejects_that_no_decision_names(self) -> None:
        named = {d.quarantine_key for d in self._decisions()}
        assert {e.key for e in self.lake.list(layout.quarantine_prefix(FEED))} <= named

    @invariant()
    def ranges_of_an_incarnation_leave_no_gap_and_never_overlap(self) -> None:
        """I2 and I7."""
        expected: dict[tuple[int, int], int] = {}
        for entry in self.lake.list(layout.plan_prefix(FEED)):
            plan = Plan.model_validate_json(self.lake.get(entry.key)[0])
            for partition, offsets in plan.ranges.items() if plan.kind != "replay" else ():
                key = (plan.incarnation, partition)
                if key in expected:
                    assert offsets.start == expected[key]
                expected[key] = offsets.end

    def teardown(self) -> None:
        """When everything calms down, everything that was produced has been decided."""
        if not hasattr(self, "topic"):
            return
        if not self.adopted:
            self.a_changed_topic_stops_the_feed_until_it_is_adopted(0)
        log = self.logs[0] = OffsetLog(self.lake, FEED)
        for _ in range(200):
            for plan in log.state().pending:
                self._attempt(plan.seq)
            plan_or_reason = self._next_plan(0, force=True)
            if isinstance(plan_or_reason, str):
                break
            log.put_plan(plan_or_reason)
        assert not log.state().pending
        seen: dict[tuple[int, int], set[int]] = {}
        for decision in self._decisions():
            for partition, count in decision.partitions.items():
                offsets = seen.setdefault((decision.plan.incarnation, partition), set())
                offsets |= set(range(count.start, count.end))
        for partition, records in self.topic.records.items():
            assert records.keys() <= seen.get((self.topic.life, partition), set())
        assert {d.plan.seq for d in self._decisions()} == {
            c.decision.plan.seq for c in log.commits()
        }
        self.every_offset_of_a_decided_range_has_exactly_one_fate()


OffsetLogMachine.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestExactlyOnce = OffsetLogMachine.TestCase
