"""How gold partitions are made from silver objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pyarrow as pa

from stock_pipeline.lib import volatility
from stock_pipeline.lib.batches import MadeFrom
from stock_pipeline.lib.checks import Violation
from stock_pipeline.lib.due import Want, key_of
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    SILVER_BARS_DAILY,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    TableSpec,
)
from stock_pipeline.resources.lake import Lake
from stock_pipeline.resources.silver import Draft
from stock_pipeline.settings import Settings

State = dict[str, tuple[float | None, float]]


class GoldMaker:
    """Makes drafts of gold partitions."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self.settings = settings
        self.lake = lake

    def make(self, table: TableSpec, partition: str, want: Want, state_year: str | None) -> Draft:
        """A gold partition from the silver objects of `want`, as they are when read.

        Args:
            table: The gold table.
            partition: Its partition.
            want: Names the silver objects.
            state_year: Year of volatility_daily whose EWMA state is taken over.

        Raises:
            ObjectNotFoundError: A silver object is gone.
        """
        if not want.etags:
            return Draft(table.schema.empty_table(), MadeFrom(definition=want.definition))
        parts: dict[str, pa.Table] = {}
        etags: dict[str, str] = {}
        for key in sorted(want.etags):
            parts[key], etags[key] = self.lake.read_table(key)
        made_from = MadeFrom(etags=etags, definition=want.definition)
        precedence = self.settings.source_precedence
        if table is VOLATILITY_INTRADAY_TABLE:
            bars = parts[key_of(BARS_INTRADAY_TABLE, partition)]
            return Draft(volatility.volatility_intraday(bars, precedence), made_from)
        if table is DAILY_AVERAGE_PRICE_TABLE:
            bars = parts[key_of(BARS_DAILY_TABLE, partition)]
            made = volatility.daily_average_price(bars, int(partition), precedence)
            return Draft(made, made_from, _counted(table, made, bars, exactly=True))
        bars = pa.concat_tables(
            [part.replace_schema_metadata(None).cast(SILVER_BARS_DAILY) for part in parts.values()]
        )
        before, digest = self._state(state_year)
        options = self.settings.volatility
        made, state = volatility.volatility_daily(
            bars, int(partition), options.windows, options.ewma_lambda, precedence, before
        )
        return Draft(
            made,
            made_from.model_copy(
                update={
                    "state_before": digest,
                    "state": state,
                    "state_digest": state_digest(state),
                }
            ),
            _counted(table, made, parts[key_of(BARS_DAILY_TABLE, partition)], exactly=False),
        )

    def _state(self, year: str | None) -> tuple[State, str]:
        if year is None:
            return {}, ""
        key = key_of(VOLATILITY_DAILY_TABLE, year)
        footer = self.lake.read_footer(key)
        made_from = MadeFrom.model_validate_json(footer) if footer else MadeFrom()
        return dict(made_from.state), made_from.state_digest


def _counted(
    table: TableSpec, made: pa.Table, bars: pa.Table, *, exactly: bool
) -> tuple[Violation, ...]:
    """Compare the days that gold has with the days of its silver bars."""
    keys = ["symbol", "trade_date"]
    have, given = (t.select(keys).group_by(keys).aggregate([]) for t in (made, bars))
    extra = have.join(given, keys=keys, join_type="left anti")
    lacking = given.join(have, keys=keys, join_type="left anti")
    wrong = pa.concat_tables([extra, lacking] if exactly else [extra])
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
