"""What the documents of one feed's log must fulfil."""

from __future__ import annotations

from collections.abc import Iterator

from stock_pipeline.ingest.documents import Commit, Decision, Plan
from stock_pipeline.lake import layout
from stock_pipeline.verify.report import Kind, Ledger, VerifyFinding


class LogChecker:
    """Follows one feed's log plan by plan and checks that its ranges are one chain (I2, I6).

    Args:
        feed: Name of the feed.
        start_of: Expected first offsets, where the plans before the first given are known.
    """

    def __init__(self, feed: str, start_of: dict[int, int] | None = None) -> None:
        self.feed = feed
        self.ledgers: dict[tuple[int, int], Ledger] = {}
        self._incarnation: int | None = None
        self._next: dict[int, int] = dict(start_of or {})
        self._adopted: dict[int, dict[int, int]] = {}

    def absorb(self, plan: Plan, commit: Commit | None) -> Iterator[VerifyFinding]:
        """Findings of the next plan, and of its commit when it is decided."""
        place = layout.plan_key(self.feed, plan.seq)
        if plan.kind == "adopt":
            self._next = {p: r.start for p, r in plan.ranges.items()}
            self._adopted[plan.incarnation] = dict(self._next)
        before, self._incarnation = self._incarnation, plan.incarnation
        expected = (before or plan.incarnation) + (plan.kind == "adopt" and before is not None)
        if plan.kind != "replay" and plan.incarnation != expected:
            yield self._finding(
                Kind.GAP,
                f"Batch {plan.seq} belongs to incarnation {plan.incarnation}, but the log is at "
                f"{expected}: an adoption is missing or was changed.",
                place,
                "Restore the plan objects from the bucket's versions or a backup.",
                plan.seq,
            )
            # Offsets of another incarnation say nothing of this one's.
            self._next = {} if plan.kind == "batch" else self._next
        if plan.kind == "replay":
            self._incarnation = before
        if plan.kind == "batch":
            yield from self._chain(plan, place)
        if commit:
            yield from self._counts(plan, commit.decision)
        if plan.kind == "batch":
            self._add(plan, commit.decision if commit else None)

    def first_offset(self, incarnation: int, partition: int) -> int | None:
        """Where an adoption says that a partition's incarnation begins; None without one."""
        return self._adopted.get(incarnation, {}).get(partition)

    def _chain(self, plan: Plan, place: str) -> Iterator[VerifyFinding]:
        for partition, offsets in sorted(plan.ranges.items()):
            expected = self._next.get(partition, offsets.start)
            self._next[partition] = offsets.end
            where = f"of {plan.topic} partition {partition} (incarnation {plan.incarnation})"
            if offsets.start > expected:
                yield self._finding(
                    Kind.GAP,
                    f"Offsets {expected} to {offsets.start - 1} {where} belong to no batch: batch "
                    f"{plan.seq} begins after them.",
                    place,
                    "Restore the changed or deleted plan; if Kafka still has these offsets, read "
                    f"them as a new incarnation: stock-pipeline feed adopt {self.feed}",
                    plan.seq,
                )
            elif offsets.start < expected:
                yield self._finding(
                    Kind.OVERLAP,
                    f"Offsets {offsets.start} to {expected - 1} {where} belong to batch "
                    f"{plan.seq} and to an earlier one: their rows count twice.",
                    place,
                    "Restore the changed plan from the bucket's versions; if the batches' objects "
                    f"hold the rows twice: stock-pipeline batch supersede {self.feed} {plan.seq}",
                    plan.seq,
                )

    def _counts(self, plan: Plan, decision: Decision) -> Iterator[VerifyFinding]:
        place = layout.commit_key(self.feed, plan.seq)
        restore = (
            "The bronze object's footer is the truth: move the commit away, and the next attempt "
            "at the batch writes it again; a changed plan comes back from the bucket's versions."
        )
        if decision.plan != plan:
            yield self._finding(
                Kind.WRONG_COUNT,
                f"Batch {plan.seq} was decided for another plan than the log has.",
                place,
                restore,
                plan.seq,
            )
        for sentence in miscounts(decision):
            yield self._finding(Kind.WRONG_COUNT, sentence, place, restore, plan.seq)

    def _add(self, plan: Plan, decision: Decision | None) -> None:
        for partition, offsets in plan.ranges.items():
            slot = (plan.incarnation, partition)
            if slot not in self.ledgers:
                self.ledgers[slot] = Ledger(self.feed, *slot, offsets.start, offsets.start)
            ledger = self.ledgers[slot]
            ledger.end = offsets.end
            ledger.offsets += len(offsets)
            count = decision.partitions.get(partition) if decision else None
            if decision is None:
                ledger.in_flight += len(offsets)
            elif count:
                ledger.accepted += count.accepted
                ledger.rejected += count.rejected
                ledger.holes += count.holes
                ledger.lost += count.lost

    def _finding(
        self, kind: Kind, sentence: str, place: str, action: str, batch: int
    ) -> VerifyFinding:
        return VerifyFinding(kind, sentence, place, action, self.feed, batch)


def miscounts(decision: Decision) -> Iterator[str]:
    """Sentences about a decision whose own numbers do not add up (I6)."""
    seq, plan = decision.plan.seq, decision.plan
    if decision.partitions.keys() != plan.ranges.keys():
        yield (
            f"Batch {seq} counts partitions {sorted(decision.partitions)}, its plan has "
            f"{sorted(plan.ranges)}."
        )
    for partition, count in sorted(decision.partitions.items()):
        offsets = plan.ranges.get(partition)
        if offsets and (offsets.start, offsets.end) != (count.start, count.end):
            yield (
                f"Batch {seq} counts offsets {count.start} to {count.end - 1} of partition "
                f"{partition}, its plan has {offsets.start} to {offsets.end - 1}."
            )
        if not count.balanced or min(count.accepted, count.rejected, count.holes, count.lost) < 0:
            yield (
                f"Batch {seq} partition {partition}: {count.accepted} accepted + "
                f"{count.rejected} rejected + {count.holes} holes + {count.lost} lost are not the "
                f"{count.end - count.start} offsets of its range."
            )
        lost = sum(len(r) for r in count.lost_ranges)
        if lost != count.lost:
            yield (
                f"Batch {seq} partition {partition}: {count.lost} offsets are counted as lost, its "
                f"lost ranges hold {lost}."
            )
    rejected = sum(c.rejected for c in decision.partitions.values())
    if rejected != decision.rejects:
        yield f"Batch {seq} says {decision.rejects} rejects, its partitions {rejected}."
    rows = sum(span.rows for span in decision.trade_dates.values())
    if rows != decision.rows:
        yield f"Batch {seq} says {decision.rows} rows, its trade_dates {rows}."


def differing_fields(ours: Decision, theirs: Decision) -> list[str]:
    """Names of the fields in which two decisions differ."""
    a, b = ours.model_dump(), theirs.model_dump()
    return [name for name in a if a[name] != b[name]]
