"""The state machine of the offset log: crashes, rivals, holes, retention, growth, adoption."""

from __future__ import annotations

from hypothesis.stateful import invariant

from stock_pipeline.ingest.commit import read_decision
from stock_pipeline.ingest.documents import Decision, Plan
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.offsets import NoPlan
from stock_pipeline.lake import layout
from stock_pipeline_tests.support.histories import FEED, LONG_VENUE, OffsetLogHistory


class OffsetLogMachine(OffsetLogHistory):
    """What must hold at every moment of such a history, and at its end."""

    def _decisions(self) -> list[Decision]:
        # Objects are never overwritten, as another invariant says: each is read once.
        for entry in self.lake.list(layout.bronze_prefix(FEED)):
            if entry.key not in self.decisions:
                decision = read_decision(self.logs[0], entry.key)
                assert decision
                self.decisions[entry.key] = decision
        return list(self.decisions.values())

    @invariant()
    def nothing_that_was_decided_is_ever_overwritten(self) -> None:
        assert not self.lake.overwritten

    def _accepted(self, decision: Decision) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = self.lake.coordinates(decision.object_key)
        return found

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
            if isinstance(plan_or_reason, NoPlan):
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
