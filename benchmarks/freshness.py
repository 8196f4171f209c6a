"""How old the newest record is that has reached bronze, and gold."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice

import pyarrow.parquet as pq

from stock_pipeline.lake.layout import bronze_prefix, table_prefix
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE, VOLATILITY_INTRADAY_TABLE, TableSpec
from stock_pipeline.tables.made_from import MadeFrom


class Freshness:
    """Asks the lake; remembers what each version of a silver object held."""

    def __init__(self, lake: Lake, feed: str) -> None:
        self.lake = lake
        self.feed = feed
        self._silver: dict[str, float] = {}
        self._last_bronze = ""

    def bronze_age(self) -> float | None:
        """Seconds since the newest Kafka timestamp of a decided batch; None before the first."""
        new = [entry.key for entry in self.lake.list(bronze_prefix(self.feed), self._last_bronze)]
        keys = [*([self._last_bronze] if self._last_bronze else []), *new]
        # Batches may hold only rejects: go back a few.
        for key in islice(reversed(keys), 5):
            newest = self._newest_record(key)
            if newest is not None:
                self._last_bronze = key
                return time.time() - newest
        return None

    def gold_age(self) -> float | None:
        """Seconds since the newest Kafka timestamp behind today's intraday volatility.

        None before there is any, and where gold was made from a version of silver that came and
        went between two samples.
        """
        for entry in self.lake.list(_prefix(BARS_INTRADAY_TABLE)):
            if entry.etag not in self._silver:
                newest = self._newest_record(entry.key)
                if newest is not None:
                    self._silver[entry.etag] = newest
        ages = []
        for entry in list(self.lake.list(_prefix(VOLATILITY_INTRADAY_TABLE)))[-2:]:
            footer = self.lake.read_footer(entry.key)
            if footer:
                etags = MadeFrom.model_validate_json(footer).etags.values()
                ages += [time.time() - self._silver[etag] for etag in etags if etag in self._silver]
        return min(ages, default=None)

    def _newest_record(self, key: str) -> float | None:
        """Largest kafka_timestamp of an object by its statistics, as a Unix time."""
        with self.lake.filesystem.open_input_file(f"{self.lake.bucket}/{key}") as file:
            metadata = pq.read_metadata(file)
        column = metadata.schema.names.index("kafka_timestamp")
        newest = [
            statistics.max
            for group in range(metadata.num_row_groups)
            if (statistics := metadata.row_group(group).column(column).statistics) is not None
            and statistics.has_min_max
        ]
        return max(map(_unix_time, newest), default=None)


def _prefix(table: TableSpec) -> str:
    return table_prefix(table.layer, table.name)


def _unix_time(value: datetime) -> float:
    return value.replace(tzinfo=UTC).timestamp()
