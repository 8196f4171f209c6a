"""The code location of a test's settings: its resources, and what it keeps open between ticks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

from stock_pipeline.defs.configured import configured_resources
from stock_pipeline.defs.connections import Connections
from stock_pipeline.defs.ingest.assets import ingest_assets
from stock_pipeline.defs.ingest.jobs import ingest_job
from stock_pipeline.defs.ingest.sensor import planning_sensor
from stock_pipeline.defs.planning import Planning, kept_planning
from stock_pipeline.defs.tables.factory import table_asset
from stock_pipeline.defs.tables.partitions import listed_partitions
from stock_pipeline.defs.tables.refresh import REFRESH_TAG, refresh_asset
from stock_pipeline.lib.clock import system_clock
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import Settings, get_settings


class Location:
    """What `build_definitions` makes of settings, to be used part by part."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connections = Connections(settings)
        self.resources = configured_resources(self.connections)

    @property
    def planning(self) -> Planning:
        """What the planning sensor keeps from tick to tick."""
        kafka, lake = self.resources["kafka"], self.resources["lake"]
        with dg.build_resources({"kafka": kafka, "lake": lake}) as made:
            return kept_planning(self.settings, made.kafka, made.lake, system_clock)

    def materialize(self, assets: Any, **options: Any) -> dg.ExecuteInProcessResult:
        """Run assets in this process with these resources."""
        assets = list(assets) if isinstance(assets, Iterable) else [assets]
        return dg.materialize(assets, resources=self.resources, **options)

    def ingest(self, feed: str = "trades", **options: Any) -> dg.ExecuteInProcessResult:
        """Run the ingest assets of a feed."""
        return self.materialize([ingest_assets(self.settings, feed)], **options)

    def table(self, table: TableSpec) -> dg.AssetsDefinition:
        """The asset of a silver or gold table."""
        return table_asset(self.settings, system_clock, listed_partitions(self.settings), table)

    def refresh(self, **options: Any) -> dg.ExecuteInProcessResult:
        """A refresh run, with the tag that those of the sensor have."""
        return self.materialize(
            [refresh_asset(self.settings, listed_partitions(self.settings))],
            tags={REFRESH_TAG: "true"},
            **options,
        )

    def tick(
        self, sensor: Any, instance: dg.DagsterInstance | None = None, cursor: str | None = None
    ) -> tuple[Any, str | None]:
        """One tick of a sensor: what it returns, and the cursor that it leaves in its context."""
        needed = {key: self.resources[key] for key in sensor.required_resource_keys}
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources=needed) as context:
            return sensor(context), context.cursor

    def plan_batches(
        self, instance: dg.DagsterInstance | None = None, cursor: str | None = None
    ) -> dg.SensorResult:
        """One tick of the planning sensor."""
        jobs = [ingest_job(name) for name in self.settings.feeds]
        result = self.tick(planning_sensor(self.settings, jobs), instance, cursor)[0]
        assert isinstance(result, dg.SensorResult)
        return result


_locations: list[Location] = []


def location() -> Location:
    """The code location of this process's settings: the same until these are read again."""
    settings = get_settings()
    if not _locations or _locations[-1].settings is not settings:
        forget_location()
        _locations.append(Location(settings))
    return _locations[-1]


def forget_location() -> None:
    """Let the next use build the location anew, as after a restart of the code server."""
    while _locations:
        _locations.pop().connections.close()
