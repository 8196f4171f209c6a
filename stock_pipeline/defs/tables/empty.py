"""What has no data is told as materialized, with no row.

Dagster's UI asks before it materializes what reads an asset, or a partition, that never was.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from stock_pipeline.defs.landing.assets import landing_deps
from stock_pipeline.defs.shared.keys import asset_key, bronze_key
from stock_pipeline.defs.tables.partitions import Listed
from stock_pipeline.lib.schemas import TABLES, TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables.index import TableIndex

#: Events of one tick, so that it ends in time; the next goes on.
MOST_EVENTS = 250

NO_ROWS = "No data has arrived for it: no row and no object. It is made by itself when some does."
NO_BATCH = "No record has been ingested yet: no row and no object."
NOT_FETCHED = "Nothing has been fetched yet: materialize the symbols and periods that you want."


def empty_event(
    key: dg.AssetKey, sentence: str, partition: str | None = None
) -> dg.AssetMaterialization:
    """The materialization of what has no data.

    Args:
        key: The asset.
        sentence: Why there is none.
        partition: ISO date or year; None for an asset as a whole.
    """
    rows = "dagster/row_count" if partition is None else "dagster/partition_row_count"
    return dg.AssetMaterialization(
        key, description=sentence, partition=partition, metadata={rows: 0, "note": sentence}
    )


def empty_events(
    settings: Settings,
    instance: dg.DagsterInstance,
    index: TableIndex,
    listed: Listed,
    cursor: str | None,
) -> tuple[list[dg.AssetMaterialization], str | None]:
    """Events of what has no data and was never materialized.

    Partitions after the newest that has data are left out: when data stops coming, the table must
    grow stale.

    Args:
        settings: Name the feeds and the sources of history.
        instance: Knows what was materialized.
        index: Knows what the lake holds.
        listed: The partitions that Dagster lists.
        cursor: What the last call returned, which says that there is nothing more to tell.

    Returns:
        The events, and the next cursor.
    """
    newest = index.newest()
    starts = {table.partition_column: listed.first(table) for table in TABLES.values()}
    told = " ".join(f"{column} {starts[column]} to {newest.get(column)}" for column in starts)
    if told == cursor:
        return [], cursor
    events = [
        empty_event(key, sentence)
        for key, sentence in _never_fed(settings, index)
        if instance.get_latest_materialization_event(key) is None
    ]
    for table in TABLES.values():
        for partition in _without_data(instance, index, listed, table, newest):
            if len(events) >= MOST_EVENTS:
                return events, cursor
            events.append(empty_event(asset_key(table), NO_ROWS, partition))
    return events, told


def _never_fed(settings: Settings, index: TableIndex) -> Iterator[tuple[dg.AssetKey, str]]:
    for feed in index.feeds_without_batches():
        yield bronze_key(feed), NO_BATCH
        yield dg.AssetKey(["quarantine", feed]), NO_BATCH
    for daily in (True, False):
        for dep in landing_deps(settings, daily=daily):
            yield dep.asset_key, NOT_FETCHED


def _without_data(
    instance: dg.DagsterInstance,
    index: TableIndex,
    listed: Listed,
    table: TableSpec,
    newest: dict[str, str],
) -> Iterator[str]:
    last = newest.get(table.partition_column, "")
    there = set(index.partitions(table))
    lacking = [p for p in listed.of(table).get_partition_keys() if p <= last and p not in there]
    if lacking:
        materialized = instance.get_materialized_partitions(asset_key(table))
        for partition in lacking:
            if partition not in materialized and index.lacks_inputs(table, partition):
                yield partition
