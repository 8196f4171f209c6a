"""The topics, as external assets: the sensor observes them, nothing here reads a record."""

from collections.abc import Iterator
from contextlib import closing

import dagster as dg

from stock_pipeline.defs.kafka.health import check_results
from stock_pipeline.defs.planning import Planning, new_planning
from stock_pipeline.defs.resources import KafkaResource, LakeResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, poll_key, topic_key
from stock_pipeline.ingest.topics.health import PROMISES
from stock_pipeline.kafka.control import PolledTopics
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import FeedSettings, Settings


def topic_spec(settings: Settings, name: str) -> dg.AssetSpec:
    """The topic of a feed, below the polls that send to it."""
    feed = settings.feeds[name]
    return dg.AssetSpec(
        topic_key(feed),
        deps=[poll_key(p) for p, poll in settings.polls.items() if poll.feed == name],
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


def topic_checks(settings: Settings, clock: Clock = system_clock) -> dg.AssetChecksDefinition:
    """The checks of all topics, asked for in one go.

    Args:
        settings: Name the feeds.
        clock: Says how old records and losses are.
    """
    specs = [
        dg.AssetCheckSpec(check, asset=topic_key(feed), description=description)
        for feed in settings.feeds.values()
        for check, description in PROMISES.items()
    ]

    @dg.multi_asset_check(specs=specs, name="topics_can_be_read")
    def topics_can_be_read(
        kafka: KafkaResource, lake: LakeResource
    ) -> Iterator[dg.AssetCheckResult]:
        """Poll every topic, look at the last records that were read, and compare with the log."""
        with (
            explained("nothing was checked"),
            closing(new_planning(settings, kafka, lake, clock)) as planning,
        ):
            polled = planning.planner.poll()
            yield from _results(planning, polled)

    return topics_can_be_read


def _results(planning: Planning, polled: PolledTopics) -> Iterator[dg.AssetCheckResult]:
    for name, feed in planning.planner.settings.feeds.items():
        if refusal := polled.refused.get(feed.topic):
            yield from _unchecked(feed, str(refusal))
            continue
        log, offsets = planning.planner.logs[name], polled[feed.topic]
        state = log.state()
        findings = planning.watch.findings(feed, log, state, offsets)
        yield from check_results(feed, state, offsets, findings)


def _unchecked(feed: FeedSettings, why: str) -> Iterator[dg.AssetCheckResult]:
    for check in PROMISES:
        yield dg.AssetCheckResult(
            asset_key=topic_key(feed),
            check_name=check,
            passed=False,
            description=f"Not checked: {why}",
        )
