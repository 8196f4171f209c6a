"""Asset keys and owners."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import FeedSettings

OWNERS = ["team:market-data"]


def topic_key(feed: FeedSettings) -> dg.AssetKey:
    """Asset key of a feed's topic."""
    return dg.AssetKey(["kafka", feed.topic])


def poll_key(name: str) -> dg.AssetKey:
    """Asset key of a poll, which sends to its feed's topic."""
    return dg.AssetKey(["polls", name])


def asset_key(table: TableSpec) -> dg.AssetKey:
    """Key of a silver or gold asset."""
    return dg.AssetKey([table.layer, table.name])
