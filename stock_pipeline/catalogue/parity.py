"""Gold by Athena against gold by DuckDB: the same SQL over the same silver objects."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from stock_pipeline.catalogue.athena import AthenaRunner, QueryResult
from stock_pipeline.catalogue.compare import Parity, compare
from stock_pipeline.catalogue.shapes import glue_name
from stock_pipeline.catalogue.tables import lake_tables, partitions_of
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.schemas import Read, TableSpec
from stock_pipeline.lib.sql_files import run
from stock_pipeline.settings import Settings
from stock_pipeline.tables.checks import Violation, violations
from stock_pipeline.tables.definitions import table_definitions
from stock_pipeline.tables.due import Made, is_due, key_of, want_gold
from stock_pipeline.tables.gold_sql import gold_sql
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.reads import keys_read, with_partition

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
        self.reads = table.reads

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
        listed = self._listed(partition)
        keys = [key for found in listed.values() for key in found]
        parts, objects = self._read(listed)
        earlier = self._state_before(partition)
        objects |= {key: Made(made.etag, made.made_from) for key, made in earlier.items()}
        states = [dict(made.made_from.state) for made in earlier.values()]
        state = states[0] if states else {}
        names = {
            read.parameter: f'"{self.settings.catalog.database}"."{_glue_name(read)}"'
            for read in self.reads
            if read.parameter in parts
        }
        sql = self._sql(names, partition, state)
        if len(sql.encode()) > MOST_SQL_BYTES:
            note = (
                f"{self.table.name} {partition} was not compared: with the EWMA state of "
                f"{len(state):,} symbols its SQL is longer than the {MOST_SQL_BYTES:,} bytes "
                "that Athena takes."
            )
            return PartitionParity(partition, notes=(note,))
        # The text is the same but for the names of the tables.
        here = self._sql({name: name for name in parts}, partition, state)
        expected = run(here, parts, self.table.schema)
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
        self,
        names: Mapping[str, str],
        partition: str,
        state: dict[str, tuple[float | None, float]],
    ) -> str:
        options = self.settings.volatility
        return gold_sql(
            self.table.name,
            source_table=names["source_table"],
            others={name: text for name, text in names.items() if name != "source_table"},
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
        made_from = MadeFrom.of_footer(footer)
        return file.read().replace_schema_metadata(None), made_from

    def _listed(self, partition: str) -> dict[str, list[str]]:
        """Keys of the objects that the partition reads, by parameter of its SQL."""
        listed: dict[str, list[str]] = {}
        for read in self.reads:
            prefix = layout.table_prefix(read.table.layer, read.table.name)
            there = {entry.key for entry in self.lake.list(prefix)}
            listed[read.parameter] = keys_read(read, partition, there)
        return listed

    def _read(
        self, listed: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, pa.Table], dict[str, Made]]:
        """Tables as Athena sees them by parameter, those without object left out; ETags by key."""
        tables, objects = dict[str, pa.Table](), dict[str, Made]()
        for read in self.reads:
            parts = dict[str, pa.Table]()
            for key in listed[read.parameter]:
                try:
                    parts[key], etag = self.lake.read_table(key)
                except ObjectNotFoundError:
                    continue
                objects[key] = Made(etag, MadeFrom())
            if parts or read is self.reads[0]:
                tables[read.parameter] = with_partition(read.table, parts)
        return tables, objects

    def _etags(self, keys: Sequence[str]) -> dict[str, str]:
        entries = [self.lake.head(key) for key in keys]
        return {entry.key: entry.etag for entry in entries if entry}

    def _state_before(self, partition: str) -> dict[str, Made]:
        """The object whose EWMA state the partition goes on from; empty where there is none."""
        if not self.table.carries_state:
            return {}
        earlier = [p for p in self._partitions() if p < partition]
        if not earlier:
            return {}
        key = key_of(self.table, earlier[0])
        footer = self.lake.read_footer(key)
        made_from = MadeFrom.of_footer(footer)
        return {key: Made("", made_from)}

    def _partitions(self) -> list[str]:
        (table,) = (
            t
            for t in lake_tables(self.settings)
            if (t.layer, t.name) == (self.table.layer, self.table.name)
        )
        return sorted((value for (value,) in partitions_of(self.lake, table)), reverse=True)


def _glue_name(read: Read) -> str:
    return glue_name(read.table.layer, read.table.name)


def largest_difference(parities: Sequence[PartitionParity]) -> float:
    """Largest relative difference between Athena and DuckDB."""
    return max((p.athena.max_relative_difference for p in parities if p.athena), default=0.0)
