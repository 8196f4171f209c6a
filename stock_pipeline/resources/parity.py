"""Gold by Athena against gold by DuckDB: the same SQL over the same silver objects."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from stock_pipeline.lib import layout
from stock_pipeline.lib.batches import FOOTER_KEY, MadeFrom
from stock_pipeline.lib.catalog_diff import glue_name
from stock_pipeline.lib.checks import Violation, violations
from stock_pipeline.lib.due import Made, is_due, key_of, want_gold
from stock_pipeline.lib.parity import Parity, compare
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    VOLATILITY_DAILY_TABLE,
    TableSpec,
)
from stock_pipeline.lib.sql_files import run
from stock_pipeline.lib.volatility import YEARS_BEFORE, gold_sql
from stock_pipeline.resources.athena import AthenaRunner, QueryResult
from stock_pipeline.resources.lake import Lake, ObjectNotFoundError
from stock_pipeline.resources.lake_tables import lake_tables, partitions_of
from stock_pipeline.resources.table_sql import table_definitions
from stock_pipeline.settings import Settings

#: Partitions that are compared when nothing else is asked for.
NEWEST = 2
#: How often a partition is compared again because its silver changed while Athena read it.
MOST_TRIES = 3
#: The longest text that Athena takes.
MOST_SQL_BYTES = 262_144


@dataclass(frozen=True)
class PartitionParity:
    """What comparing one gold partition found.

    Attributes:
        partition: Which.
        athena: Athena's rows against DuckDB's; None where they could not be compared.
        published: The published object against DuckDB's rows; None where it is behind silver.
        query: Athena's answer; None where nothing was asked.
        notes: A sentence for whatever was not compared.
    """

    partition: str
    athena: Parity | None = None
    published: Parity | None = None
    query: QueryResult | None = None
    notes: tuple[str, ...] = ()

    @property
    def differing(self) -> int:
        """Values that differ between any two of the three."""
        return sum(p.differing for p in (self.athena, self.published) if p)


class GoldParity:
    """Compares partitions of one gold table."""

    def __init__(
        self, settings: Settings, lake: Lake, table: TableSpec, runner: AthenaRunner
    ) -> None:
        self.settings = settings
        self.lake = lake
        self.table = table
        self.runner = runner
        self.silver = (
            BARS_INTRADAY_TABLE if table.partition_column == "trade_date" else BARS_DAILY_TABLE
        )

    def newest(self, count: int = NEWEST) -> list[str]:
        """The table's newest partitions, the newest first."""
        return self._partitions()[:count]

    def check(self, partition: str) -> list[Violation]:
        """What the published object breaks of its table's rules, by DuckDB, before Athena runs.

        Raises:
            ObjectNotFoundError: There is no such partition.
        """
        content, _ = self._published(key_of(self.table, partition))
        return violations(self.table, content)

    def compare(self, partition: str) -> PartitionParity:
        """Run the partition's SQL on both engines and compare the rows.

        Raises:
            AthenaError: Athena gave no result.
            ObjectNotFoundError: There is no such partition.
        """
        for _ in range(MOST_TRIES):
            parity = self._compare(partition)
            if parity is not None:
                return parity
        note = (
            f"{self.table.name} {partition} was not compared: its silver changed {MOST_TRIES} "
            "times while Athena read it."
        )
        return PartitionParity(partition, notes=(note,))

    def _compare(self, partition: str) -> PartitionParity | None:
        """One try; None where silver changed meanwhile."""
        content, published = self._published(key_of(self.table, partition))
        keys = self._silver_keys(partition)
        parts, objects = self._read(keys)
        earlier = self._state_before(partition)
        objects |= {key: Made(made.etag, made.made_from) for key, made in earlier.items()}
        states = [dict(made.made_from.state) for made in earlier.values()]
        sql = self._sql(
            f'"{self.settings.catalog.database}"."{glue_name("silver", self.silver.name)}"',
            partition,
            states[0] if states else {},
        )
        if len(sql.encode()) > MOST_SQL_BYTES:
            note = (
                f"{self.table.name} {partition} was not compared: with the EWMA state of "
                f"{len(states[0]):,} symbols its SQL is longer than the {MOST_SQL_BYTES:,} bytes "
                "that Athena takes."
            )
            return PartitionParity(partition, notes=(note,))
        # The text is the same but for the name of the table.
        here = self._sql("bars", partition, states[0] if states else {})
        expected = run(here, {"bars": parts}, self.table.schema)
        query = self.runner.run(sql)
        if self._etags(keys) != {k: m.etag for k, m in objects.items() if k in keys}:
            return None
        athena = compare(expected, query.table, self.table.key)
        definition = table_definitions(self.settings)[self.table.name]
        want = replace(want_gold(self.table, partition, objects), definition=definition)
        if is_due(want, Made("", published)):
            note = (
                f"The published {self.table.name} {partition} was not compared: it is behind its "
                "silver, its SQL or its settings; the next refresh makes it anew."
            )
            return PartitionParity(partition, athena, None, query, (note,))
        return PartitionParity(partition, athena, compare(expected, content, self.table.key), query)

    def _sql(
        self, source: str, partition: str, state: dict[str, tuple[float | None, float]]
    ) -> str:
        options = self.settings.volatility
        return gold_sql(
            self.table.name,
            source_table=source,
            partition=partition,
            windows=options.windows,
            ewma_lambda=options.ewma_lambda,
            precedence=self.settings.source_precedence,
            state=state,
        )

    def _published(self, key: str) -> tuple[pa.Table, MadeFrom]:
        body, _ = self.lake.get(key)
        file = pq.ParquetFile(io.BytesIO(body))
        footer = (file.metadata.metadata or {}).get(FOOTER_KEY)
        made_from = MadeFrom.model_validate_json(footer) if footer else MadeFrom()
        return file.read().replace_schema_metadata(None), made_from

    def _silver_keys(self, partition: str) -> list[str]:
        back = YEARS_BEFORE if self.table is VOLATILITY_DAILY_TABLE else 0
        if not back:
            return [key_of(self.silver, partition)]
        years = range(int(partition) - back, int(partition) + 1)
        return [key_of(self.silver, f"{year:04d}") for year in years]

    def _read(self, keys: Sequence[str]) -> tuple[pa.Table, dict[str, Made]]:
        """Silver with its partition column as the string that Athena sees; ETags by key."""
        tables, objects = [], dict[str, Made]()
        column = self.silver.partition_column
        schema = self.silver.schema.append(pa.field(column, pa.string()))
        for key in keys:
            try:
                table, etag = self.lake.read_table(key)
            except ObjectNotFoundError:
                continue
            objects[key] = Made(etag, MadeFrom())
            value = pa.repeat(layout.partition_of_key(key), table.num_rows)
            table = table.select(self.silver.schema.names).replace_schema_metadata(None)
            tables.append(table.append_column(column, value).cast(schema))
        return pa.concat_tables([schema.empty_table(), *tables]), objects

    def _etags(self, keys: Sequence[str]) -> dict[str, str]:
        entries = [self.lake.head(key) for key in keys]
        return {entry.key: entry.etag for entry in entries if entry}

    def _state_before(self, partition: str) -> dict[str, Made]:
        """The object whose EWMA state the partition goes on from; empty where there is none."""
        if self.table is not VOLATILITY_DAILY_TABLE:
            return {}
        earlier = [p for p in self._partitions() if p < partition]
        if not earlier:
            return {}
        key = key_of(self.table, earlier[0])
        footer = self.lake.read_footer(key)
        made_from = MadeFrom.model_validate_json(footer) if footer else MadeFrom()
        return {key: Made("", made_from)}

    def _partitions(self) -> list[str]:
        (table,) = (
            t
            for t in lake_tables(self.settings)
            if (t.layer, t.name) == (self.table.layer, self.table.name)
        )
        return sorted((value for (value,) in partitions_of(self.lake, table)), reverse=True)


def largest_difference(parities: Sequence[PartitionParity]) -> float:
    """Largest relative difference between Athena and DuckDB."""
    return max((p.athena.max_relative_difference for p in parities if p.athena), default=0.0)
