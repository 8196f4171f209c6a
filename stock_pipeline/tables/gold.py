"""How gold partitions are made from silver objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import pyarrow as pa

from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.tables import volatility
from stock_pipeline.tables.checks import Violation
from stock_pipeline.tables.due import Want, key_of
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.reads import keys_read, with_partition
from stock_pipeline.tables.silver import Draft

State = dict[str, tuple[float | None, float]]


class GoldMaker:
    """Makes drafts of gold partitions."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self.settings = settings
        self.lake = lake

    def make(self, table: TableSpec, partition: str, want: Want, state_year: str | None) -> Draft:
        """A gold partition from the objects of `want`, as they are when read.

        Args:
            table: The gold table.
            partition: Its partition.
            want: Names the objects.
            state_year: Year of the table whose EWMA state is taken over.

        Raises:
            ObjectNotFoundError: An object that it reads is gone.
        """
        if not want.etags:
            return Draft(table.schema.empty_table(), MadeFrom(definition=want.definition))
        tables, needed, etags = self._inputs(table, partition, want)
        made_from = MadeFrom(etags=dict(sorted(etags.items())), definition=want.definition)
        precedence = self.settings.source_precedence
        if table.carries_state:
            before, digest = self._state(table, state_year)
            options = self.settings.volatility
            plain = {name: rows.drop_columns("year") for name, rows in tables.items()}
            made, state = volatility.volatility_daily(
                plain["source_table"],
                int(partition),
                options.windows,
                options.ewma_lambda,
                precedence,
                before,
                plain.get("actions"),
            )
            carried = {
                "state_before": digest,
                "state": state,
                "state_digest": state_digest(state),
            }
            made_from = made_from.model_copy(update=carried)
        else:
            made = volatility.gold_rows(table, tables, partition, precedence)
        return Draft(made, made_from, _miscounted(table, made, needed))

    def _inputs(
        self, table: TableSpec, partition: str, want: Want
    ) -> tuple[dict[str, pa.Table], pa.Table, dict[str, str]]:
        """What a partition reads: tables by parameter, the first one's partition, ETags by key.

        Tables without an object are left out.
        """
        tables: dict[str, pa.Table] = {}
        etags: dict[str, str] = {}
        first = table.reads[0]
        needed = first.table.schema.empty_table()
        for read in table.reads:
            keys = keys_read(read, partition, want.etags)
            if read.days_of:
                dates = tables[first.parameter][read.days_of].to_pylist()
                days = {day.isoformat() for day in dates}
                etags |= {key: want.etags[key] for key in keys}
                keys = [key for key in keys if layout.partition_of_key(key) in days]
            parts, found = self._read(keys)
            etags |= found
            if read is first:
                needed = parts[key_of(read.table, partition)]
            if parts:
                tables[read.parameter] = with_partition(read.table, parts)
        return tables, needed, etags

    def _read(self, keys: Iterable[str]) -> tuple[dict[str, pa.Table], dict[str, str]]:
        """Objects and their ETags by key."""
        parts: dict[str, pa.Table] = {}
        etags: dict[str, str] = {}
        for key in sorted(keys):
            parts[key], etags[key] = self.lake.read_table(key)
        return parts, etags

    def _state(self, table: TableSpec, year: str | None) -> tuple[State, str]:
        if year is None:
            return {}, ""
        footer = self.lake.read_footer(key_of(table, year))
        made_from = MadeFrom.of_footer(footer)
        return dict(made_from.state), made_from.state_digest


def _miscounted(table: TableSpec, made: pa.Table, needed: pa.Table) -> tuple[Violation, ...]:
    """Compare the days that gold has with those of the rows that it is made from."""
    if table.days is None:
        return ()
    keys = ["symbol", "trade_date"]
    have, given = (t.select(keys).group_by(keys).aggregate([]) for t in (made, needed))
    extra = have.join(given, keys=keys, join_type="left anti")
    lacking = given.join(have, keys=keys, join_type="left anti")
    wrong = pa.concat_tables([extra, lacking] if table.days == "exactly" else [extra])
    if not wrong.num_rows:
        return ()
    sentence = (
        f"{table.name} has {have.num_rows} symbols' days and silver {given.num_rows}; "
        f"{wrong.num_rows} are in one of them only."
    )
    return (Violation("row_counts", sentence, wrong.slice(0, 20)),)


def state_digest(state: Mapping[str, tuple[float | None, float]]) -> str:
    """Digest of an EWMA state; equal for equal states."""
    text = json.dumps({symbol: list(state[symbol]) for symbol in sorted(state)})
    return hashlib.sha256(text.encode()).hexdigest()[:16]
