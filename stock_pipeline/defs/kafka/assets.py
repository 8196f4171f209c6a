"""The topics, as external assets: the sensor observes them, nothing here reads a record."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from stock_pipeline.settings import FeedSettings, get_settings

OWNERS = ["team:market-data"]


def topic_key(feed: FeedSettings) -> dg.AssetKey:
    """Asset key of a feed's topic."""
    return dg.AssetKey(["kafka", feed.topic])


topics = [
    dg.AssetSpec(
        topic_key(feed),
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
    for name, feed in get_settings().feeds.items()
]

TOPIC_CHECKS = [
    dg.AssetCheckSpec(
        check,
        asset=topic_key(feed),
        description=description,
    )
    for feed in get_settings().feeds.values()
    for check, description in (
        (
            "is_the_topic_that_was_read",
            "The topic was not recreated or truncated, and no partition is gone (I5).",
        ),
        (
            "retention_has_lost_nothing",
            "Retention deleted no record before it was planned; red for as long as one is missing.",
        ),
        (
            "no_hung_transaction",
            "No open transaction keeps readers far below the high watermark.",
        ),
    )
]


@dg.multi_asset_check(specs=TOPIC_CHECKS, name="topics_can_be_read")
def topics_can_be_read() -> Iterator[dg.AssetCheckResult]:
    """Poll every topic and compare it with the offset log."""
    from stock_pipeline.defs.kafka.health import check_results
    from stock_pipeline.resources.planner import Planner

    planner = Planner(get_settings())
    polled = planner.poll()
    for name, feed in get_settings().feeds.items():
        yield from check_results(feed, planner.logs[name].state(), polled[feed.topic])
