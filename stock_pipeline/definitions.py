"""The code location: what the folders below `defs` define, their resources, and the executor."""

import atexit
from collections.abc import Callable

import dagster as dg

from stock_pipeline.defs.athena import definitions as athena
from stock_pipeline.defs.catalog import definitions as catalog
from stock_pipeline.defs.configured import configured_resources
from stock_pipeline.defs.connections import Connections
from stock_pipeline.defs.ingest import definitions as ingest
from stock_pipeline.defs.kafka import definitions as kafka
from stock_pipeline.defs.landing import definitions as landing
from stock_pipeline.defs.maintenance import definitions as maintenance
from stock_pipeline.defs.sources import definitions as sources
from stock_pipeline.defs.tables import definitions as tables
from stock_pipeline.defs.verify import definitions as verify
from stock_pipeline.settings import Settings, load_settings

SUBJECTS = (sources, kafka, ingest, landing, tables, catalog, athena, verify, maintenance)


def build_definitions(
    settings: Settings, complete: Callable[[], Settings] | None = None
) -> dg.Definitions:
    """All assets, checks, jobs, schedules, sensors and resources of these settings.

    Opens no connection: resources do at first use, and keep it until the process ends.

    Args:
        settings: What the graph is made of; values of Secrets Manager may be missing.
        complete: Loads the same settings with them.
    """
    connections = Connections(settings, complete)
    atexit.register(connections.close)
    return dg.Definitions.merge(
        *(subject.definitions(settings) for subject in SUBJECTS),
        dg.Definitions(
            resources=configured_resources(connections),
            # A step process of its own costs seconds of start-up; every run here has one step.
            executor=dg.in_process_executor,
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location of this machine's settings: YAML, `.env`, environment."""
    settings = load_settings(with_secret=False)
    return build_definitions(settings, load_settings if settings.secrets.secret_id else None)
