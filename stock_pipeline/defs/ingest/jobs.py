"""One job a feed."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.defs.ingest.attempts import FEED_TAG
from stock_pipeline.settings import get_settings


def job_name(feed: str) -> str:
    """Name of the job that ingests one batch of the feed."""
    return f"ingest_{feed.replace('-', '_')}"


ingest_jobs = {
    name: dg.define_asset_job(
        job_name(name),
        selection=dg.AssetSelection.assets(["bronze", name], ["quarantine", name])
        | dg.AssetSelection.checks_for_assets(
            dg.AssetKey(["bronze", name]), dg.AssetKey(["quarantine", name])
        ),
        description=f"Ingest one planned batch of feed {name}.",
        # Attempts are ours: Dagster's own retries would repeat one beside the log.
        tags={"dagster/max_retries": "0", FEED_TAG: name},
    )
    for name in get_settings().feeds
}
