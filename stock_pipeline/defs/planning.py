"""The planner on the brokers and the lake of the resources."""

from __future__ import annotations

from stock_pipeline.defs.resources import KafkaResource, LakeResource
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics.watch import TopicWatch
from stock_pipeline.lake.probe import StoreProbe
from stock_pipeline.lib.clock import Clock
from stock_pipeline.settings import Settings


class Planning:
    """What plans batches: it keeps a connection and what it has read of the offset logs.

    Attributes:
        planner: Polls and plans.
        watch: Asks the broker what offsets do not tell, on the planner's connection.
        store: Whether the lake's store may be written to (I8).
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.watch = TopicWatch(planner.kafka, planner.clock)
        self.store = StoreProbe(planner.lake)

    def close(self) -> None:
        """Close the connection to Kafka; the next poll opens another."""
        self.planner.kafka.close()


def new_planning(
    settings: Settings, kafka: KafkaResource, lake: LakeResource, clock: Clock
) -> Planning:
    """For one run; whoever took it closes it.

    Args:
        settings: Name the feeds.
        kafka: The brokers.
        lake: The lake with the offset logs.
        clock: Dates plans.
    """
    ours = lake.settings(settings).model_copy(update={"kafka": kafka.settings()})
    return Planning(Planner(ours, lake.lake(), kafka.control(clock), clock))


def kept_planning(
    settings: Settings, kafka: KafkaResource, lake: LakeResource, clock: Clock
) -> Planning:
    """For ticks: the same every time while brokers and lake are the same."""
    key = ("planning", kafka.settings(), lake.aws(), tuple(settings.feeds))
    return lake.keep(key, lambda: new_planning(settings, kafka, lake, clock))
