"""What the checks of a topic say, from its offsets and the log."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from stock_pipeline.lib.offsets import (
    LogState,
    TopicChangedError,
    TopicOffsets,
    check_topic,
    lost,
)
from stock_pipeline.settings import FeedSettings

#: Offsets between the last stable offset and the high watermark that count as a hung transaction.
HUNG_OFFSETS = 100_000


def check_results(
    feed: FeedSettings, state: LogState, offsets: TopicOffsets | None
) -> Iterator[dg.AssetCheckResult]:
    """Results of the three checks of one topic."""
    key = dg.AssetKey(["kafka", feed.topic])

    def result(check: str, problem: str) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=check,
            passed=not problem,
            severity=dg.AssetCheckSeverity.ERROR,
            description=problem or None,
        )

    if offsets is None:
        yield result(
            "is_the_topic_that_was_read",
            f"Topic {feed.topic} does not exist: create it, or mend its name in the settings.",
        )
        return
    problem = ""
    try:
        check_topic(state, feed.topic, offsets)
    except TopicChangedError as error:
        problem = str(error)
    yield result("is_the_topic_that_was_read", problem)
    gone = lost(state, offsets)
    yield result(
        "retention_has_lost_nothing",
        "; ".join(
            f"partition {p}: offsets {r.start} to {r.end - 1} were deleted before they were read"
            for p, r in sorted(gone.items())
        ),
    )
    yield result(
        "no_hung_transaction",
        "; ".join(
            f"partition {p}: readable up to {o.end}, written up to {o.high_watermark}"
            for p, o in sorted(offsets.partitions.items())
            if o.high_watermark is not None and o.high_watermark - o.end > HUNG_OFFSETS
        ),
    )
