"""How gold partitions are made from silver objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import pyarrow as pa

from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    TableSpec,
)
from stock_pipeline.settings import Settings
from stock_pipeline.tables import volatility
from stock_pipeline.tables.checks import Violation
from stock_pipeline.tables.due import Want, key_of
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.reads import READS, keys_read, with_partition
from stock_pipeline.tables.silver import Draft

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
        if table is SENTIMENT_DAILY_TABLE:
            return self._sentiment(partition, want)
        parts, etags = self._read(want.etags)
        made_from = MadeFrom(etags=etags, definition=want.definition)
        precedence = self.settings.source_precedence
        if table is VOLATILITY_INTRADAY_TABLE:
            bars = parts[key_of(BARS_INTRADAY_TABLE, partition)]
            return Draft(volatility.volatility_intraday(bars, precedence), made_from)
        if table is DAILY_AVERAGE_PRICE_TABLE:
            bars = parts[key_of(BARS_DAILY_TABLE, partition)]
            made = volatility.daily_average_price(bars, int(partition), precedence)
            return Draft(made, made_from, _counted(table, made, bars, exactly=True))
        bars, actions = (
            [parts[key].replace_schema_metadata(None).cast(read.table.schema) for key in keys]
            for read in READS[table.name]
            for keys in [keys_read(read, partition, parts)]
        )
        before, digest = self._state(state_year)
        options = self.settings.volatility
        made, state = volatility.volatility_daily(
            pa.concat_tables(bars),
            int(partition),
            options.windows,
            options.ewma_lambda,
            precedence,
            before,
            pa.concat_tables(actions) if actions else None,
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

    def _sentiment(self, year: str, want: Want) -> Draft:
        """Of a year's intraday volatility only the days with news are read."""
        news_read, daily_read, intraday_read = READS[SENTIMENT_DAILY_TABLE.name]
        news, etags = self._read(keys_read(news_read, year, want.etags))
        articles = with_partition(news_read.table, news).drop_columns("year")
        daily, daily_etags = self._read(keys_read(daily_read, year, want.etags))
        keys = keys_read(intraday_read, year, want.etags)
        days = {day.isoformat() for day in articles["trade_date"].to_pylist()}
        intraday, read = self._read(k for k in keys if layout.partition_of_key(k) in days)
        unread = {key: want.etags[key] for key in keys if key not in read}
        made = volatility.sentiment_daily(
            articles,
            int(year),
            with_partition(daily_read.table, daily).drop_columns("year"),
            with_partition(intraday_read.table, intraday),
        )
        found = dict(sorted((etags | daily_etags | read | unread).items()))
        return Draft(
            made,
            MadeFrom(etags=found, definition=want.definition),
            _counted(SENTIMENT_DAILY_TABLE, made, articles, exactly=True),
        )

    def _read(self, keys: Iterable[str]) -> tuple[dict[str, pa.Table], dict[str, str]]:
        """Objects and their ETags by key."""
        parts: dict[str, pa.Table] = {}
        etags: dict[str, str] = {}
        for key in sorted(keys):
            parts[key], etags[key] = self.lake.read_table(key)
        return parts, etags

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
