"""What the checks of a topic say, from its offsets, the log and what was found out beside them."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.topics.health import Findings, topic_problems
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.settings import FeedSettings


def check_results(
    feed: FeedSettings,
    state: LogState,
    offsets: TopicOffsets | None,
    findings: Findings | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """Results of the checks of one topic."""
    problems = topic_problems(state, feed.topic, offsets, findings or Findings())
    for check, problem in problems.items():
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(["kafka", feed.topic]),
            check_name=check,
            passed=not problem,
            severity=dg.AssetCheckSeverity.ERROR,
            description=problem or None,
        )
