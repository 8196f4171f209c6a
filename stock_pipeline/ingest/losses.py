"""Offsets that no batch could read any more, in sentences with their exact ranges."""

from __future__ import annotations

from datetime import timedelta

from stock_pipeline.ingest.documents import Commit

#: A loss keeps its topic's check red for so long; its commit tells of it for ever.
LOSS_SHOWN = timedelta(days=1)


def loss_sentences(commit: Commit | None, incarnation: int | None = None) -> list[str]:
    """What a batch has lost, a sentence a range.

    Args:
        commit: Of the batch; None (an adoption has none) lost nothing.
        incarnation: Life of the topic now, if known: what an earlier one had left was given up.
    """
    # A replay that cannot have its old records keeps the batch that it asked for: nothing is lost.
    if commit is None or commit.decision.plan.kind != "batch":
        return []
    plan = commit.decision.plan
    why = (
        "were deleted before they were read"
        if incarnation in {None, plan.incarnation}
        else "were given up when another topic was adopted"
    )
    return [
        f"batch {plan.seq}, partition {partition}: offsets {lost.start} to {lost.end - 1} {why}"
        for partition, count in sorted(commit.decision.partitions.items())
        for lost in count.lost_ranges
    ]
