"""Lost offsets as sentences with their exact ranges."""

from __future__ import annotations

from datetime import timedelta

from stock_pipeline.ingest.documents import Commit

#: How long a loss keeps its topic's check red. The commit records the loss for good.
LOSS_SHOWN = timedelta(days=1)


def loss_sentences(commit: Commit | None, incarnation: int | None = None) -> list[str]:
    """One sentence for each range of offsets that a batch has lost.

    Args:
        commit: Commit of the batch; None, as for an adoption, means that nothing was lost.
        incarnation: The topic's incarnation now, if known. Undecided offsets of an earlier one were
            given up when the new one was adopted.
    """
    # A replay that could not read the old records supersedes nothing, so nothing is lost.
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
