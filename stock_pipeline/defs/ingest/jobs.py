"""One job a feed."""

from __future__ import annotations

from typing import Any

import dagster as dg

from stock_pipeline.defs.ingest.attempts import FEED_TAG
from stock_pipeline.defs.shared.keys import bronze_key, with_own_checks


def job_name(feed: str) -> str:
    """Name of the job that ingests one batch of the feed."""
    return f"ingest_{feed.replace('-', '_')}"


def ingest_job(name: str) -> Any:
    """The asset job of a feed, of a type that Dagster does not export."""
    bronze, quarantine = bronze_key(name), dg.AssetKey(["quarantine", name])
    return dg.define_asset_job(
        job_name(name),
        selection=with_own_checks(bronze, quarantine),
        description=f"Ingest one planned batch of feed {name}.",
        # Attempts are ours: Dagster's own retries would repeat one beside the log.
        tags={"dagster/max_retries": "0", FEED_TAG: name},
    )
