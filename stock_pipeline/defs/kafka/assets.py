"""The topics, as external assets: the sensor observes them, nothing here reads a record."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from stock_pipeline.defs.kafka.health import check_results
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, poll_key, topic_key
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics.health import PROMISES
from stock_pipeline.ingest.topics.watch import TopicWatch
from stock_pipeline.settings import FeedSettings, get_settings


def topic_spec(name: str, feed: FeedSettings) -> dg.AssetSpec:
    """The topic of a feed, below the polls that send to it."""
    return dg.AssetSpec(
        topic_key(feed),
        deps=[poll_key(p) for p, poll in get_settings().polls.items() if poll.feed == name],
        group_name="kafka",
        kinds={"kafka"},
        owners=OWNERS,
        description=(
            f"Kafka topic `{feed.topic}`: one `{feed.format}` message a record, kept "
            f"{feed.retention_minutes} minutes by the local profile. Observed by the sensor "
            "`plan_batches`: end offsets, lag, and the seconds until retention deletes the oldest "
            f"unread record. Read by `bronze/{name}`."
        ),
        metadata={
            "feed": name,
            "format": feed.format,
            "retention_minutes": feed.retention_minutes,
        },
    )


topics = [topic_spec(name, feed) for name, feed in get_settings().feeds.items()]

TOPIC_CHECKS = [
    dg.AssetCheckSpec(
        check,
        asset=topic_key(feed),
        description=description,
    )
    for feed in get_settings().feeds.values()
    for check, description in PROMISES.items()
]


@dg.multi_asset_check(specs=TOPIC_CHECKS, name="topics_can_be_read")
def topics_can_be_read() -> Iterator[dg.AssetCheckResult]:
    """Poll every topic, look at the last records that were read, and compare with the log."""
    planner = Planner(get_settings())
    with explained("nothing was checked"):
        watch, polled = TopicWatch(planner.kafka), planner.poll()
    for name, feed in get_settings().feeds.items():
        if refusal := polled.refused.get(feed.topic):
            yield from _unchecked(feed, str(refusal))
            continue
        log, offsets = planner.logs[name], polled[feed.topic]
        state = log.state()
        findings = watch.findings(feed, log, state, offsets)
        yield from check_results(feed, state, offsets, findings)


def _unchecked(feed: FeedSettings, why: str) -> Iterator[dg.AssetCheckResult]:
    for check in PROMISES:
        yield dg.AssetCheckResult(
            asset_key=topic_key(feed),
            check_name=check,
            passed=False,
            description=f"Not checked: {why}",
        )
