"""Asset keys and owners."""

from __future__ import annotations

import dagster as dg

from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import FeedSettings

OWNERS = ["team:market-data"]

#: The check of the nightly reconciliation, which runs for itself.
AGREES = "agrees"


def topic_key(feed: FeedSettings) -> dg.AssetKey:
    """Asset key of a feed's topic."""
    return dg.AssetKey(["kafka", feed.topic])


def poll_key(name: str) -> dg.AssetKey:
    """Asset key of a poll, which sends to its feed's topic."""
    return dg.AssetKey(["polls", name])


def asset_key(table: TableSpec) -> dg.AssetKey:
    """Key of a silver or gold asset."""
    return dg.AssetKey([table.layer, table.name])


def bronze_key(feed: str) -> dg.AssetKey:
    """Key of a feed's bronze asset."""
    return dg.AssetKey(["bronze", feed])


def with_own_checks(reconciled: dg.AssetKey, *others: dg.AssetKey) -> dg.AssetSelection:
    """Assets with the checks that belong to a run of theirs: all but the nightly one.

    Args:
        reconciled: The asset that the nightly check is on.
        others: Assets without it.
    """
    keys = (reconciled, *others)
    whole = dg.AssetSelection.assets(*keys) | dg.AssetSelection.checks_for_assets(*keys)
    return whole - dg.AssetSelection.checks(dg.AssetCheckKey(reconciled, AGREES))
