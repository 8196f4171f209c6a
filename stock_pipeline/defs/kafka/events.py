"""What a tick of the sensor tells of a topic: an observation, and the checks that changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.kafka.health import check_results
from stock_pipeline.ingest.topics.health import Findings, blocked
from stock_pipeline.ingest.topics.losses import LOSS_SHOWN, loss_sentences
from stock_pipeline.settings import FeedSettings

if TYPE_CHECKING:
    from stock_pipeline.ingest.offset_log import OffsetLog
    from stock_pipeline.ingest.planner import FeedTick
    from stock_pipeline.ingest.topics.watch import TopicWatch

#: An idle topic is observed this often; a busy one with every plan.
OBSERVE_EVERY_SECONDS = 300.0
#: Commits that one tick looks through for losses at most.
MOST_COMMITS = 100


def topic_events(
    watch: TopicWatch,
    log: OffsetLog,
    feed: FeedSettings,
    tick: FeedTick,
    changed: str,
    memory: dict[str, Any],
    now: float,
) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation]:
    """Check results that changed, and an observation of a busy or long unobserved topic.

    An event a tick and topic would be 70,000 rows a day in Dagster's event log.

    Args:
        watch: Asks the broker what offsets do not tell.
        log: The feed's offset log.
        feed: The feed.
        tick: What the tick found.
        changed: Why the feed's last run took the topic for another one; "" when it did not.
        memory: The feed's part of the sensor's cursor; changed here.
        now: Unix time in seconds.

    Raises:
        KafkaUnavailableError: The brokers do not answer.
    """
    key = dg.AssetKey(["kafka", feed.topic])
    seconds_left = None
    if tick.state is not None:
        findings = _findings(watch, log, feed, tick, changed, memory, now)
        seconds_left = findings.seconds_left
        for result in check_results(feed, tick.state, tick.offsets, findings):
            # Seconds and minutes in a sentence are no news.
            verdict = [result.passed, "".join(filter(str.isalpha, result.description or ""))]
            if memory.setdefault("checks", {}).get(result.check_name) != verdict:
                memory["checks"][result.check_name] = verdict
                yield dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=str(result.check_name),
                    passed=result.passed,
                    severity=result.severity,
                    description=result.description,
                    metadata={},
                )
    since = now - memory.get("observed", 0.0)
    if tick.offsets and (tick.requests or abs(since) > OBSERVE_EVERY_SECONDS):
        memory["observed"] = now
        yield dg.AssetObservation(key, metadata=_observation(watch, feed, tick, seconds_left))


def _findings(
    watch: TopicWatch,
    log: OffsetLog,
    feed: FeedSettings,
    tick: FeedTick,
    changed: str,
    memory: dict[str, Any],
    now: float,
) -> Findings:
    state, offsets = tick.state, tick.offsets
    if state is None or offsets is None:
        return Findings(changed=changed)
    ends = {str(p): end for p, end in blocked(offsets).items()}
    known = memory.get("blocked", {})
    # [last stable offset, since when it stands there], per partition.
    memory["blocked"] = {
        p: known[p] if p in known and known[p][0] == end else [end, now] for p, end in ends.items()
    }
    losses = memory.setdefault("losses", {"through": state.decided_through, "recent": []})
    first = max(losses["through"] + 1, state.decided_through + 1 - MOST_COMMITS)
    for seq in range(first, state.decided_through + 1):
        commit = log.commit_of(seq)
        losses["recent"] += [[now, s] for s in loss_sentences(commit, state.incarnation)]
    losses["through"] = state.decided_through
    losses["recent"] = [
        loss for loss in losses["recent"][-20:] if abs(now - loss[0]) < LOSS_SHOWN.total_seconds()
    ]
    return Findings(
        seconds_left=watch.seconds_left(feed, state, offsets),
        changed=changed,
        recent_losses=tuple(sentence for _, sentence in losses["recent"]),
        blocked_seconds={int(p): now - since for p, (_, since) in memory["blocked"].items()},
    )


def _observation(
    watch: TopicWatch, feed: FeedSettings, tick: FeedTick, seconds: float | None
) -> dict[str, Any]:
    partitions = tick.offsets.partitions if tick.offsets else {}
    metadata: dict[str, Any] = {
        "lag": sum(tick.waiting.values()),
        "end_offsets": {str(p): o.end for p, o in sorted(partitions.items())},
        "beginning_offsets": {str(p): o.beginning for p, o in sorted(partitions.items())},
        "tick": tick.sentence,
    }
    if tick.state is not None and tick.offsets is not None:
        if seconds is None:
            seconds = watch.seconds_until_loss(feed, tick.state, tick.offsets)
        if seconds is not None:
            metadata["seconds_until_retention_deletes_unread"] = round(seconds)
    return metadata
