"""Gold tables from silver bars: one SQL text a table, run by DuckDB here and by Athena."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.schemas import GOLD_VOLATILITY_DAILY, VOLATILITY_DAILY_TABLE, TableSpec
from stock_pipeline.lib.sql_files import (
    connection,
    fetch,
    precedence_rank,
    render,
    run,
    text_literal,
)
from stock_pipeline.tables.gold_sql import State, gold_sql

#: Symbols whose volatilities are made at once: bounds the memory, and is no slower.
MOST_SYMBOLS = 1_000


def volatility_daily(
    bars: pa.Table,
    year: int,
    windows: Sequence[int],
    ewma_lambda: float,
    precedence: Sequence[str],
    state: State,
    actions: pa.Table | None = None,
) -> tuple[pa.Table, dict[str, tuple[float | None, float]]]:
    """Volatility of a year's bars by trailing windows, annualised.

    A row exists where an estimator is defined, EWMA from the first return on; the others are NULL
    until their window is full, and range estimators in windows that hold a flat bar without volume.

    Splits and dividends make the returns of bars without adjusted close, and splits also those of
    bars that are older than the split.

    Args:
        bars: SILVER_BARS_DAILY of the year and the two before.
        year: The year.
        windows: Lengths in bars; returns of close-to-close.
        ewma_lambda: Decay a bar.
        precedence: Sources, the first one speaks where several have a symbol's date.
        state: EWMA state at the end of the year before.
        actions: SILVER_CORPORATE_ACTIONS of the year and the two before.

    Returns:
        GOLD_VOLATILITY_DAILY, and the state at the end of this year of every symbol seen so far.

    Raises:
        ValueError: A window is below 2, or lambda is below 0.2 or not below 1.
    """
    made, after = [GOLD_VOLATILITY_DAILY.empty_table()], dict(state)
    others = {} if actions is None else {"actions": _with_year(actions, "ex_date")}
    for part in _by_symbols(bars):
        symbols = pc.unique(part["symbol"]).to_pylist()
        before = {symbol: state[symbol] for symbol in symbols if symbol in state}
        query = gold_sql(
            VOLATILITY_DAILY_TABLE.name,
            source_table="bars",
            others={name: name for name in others},
            partition=str(year),
            windows=windows,
            ewma_lambda=ewma_lambda,
            precedence=precedence,
            state=before,
        )
        with connection({"bars": _with_year(part), **others}) as con:
            made.append(fetch(con, query, GOLD_VOLATILITY_DAILY))
            con.register("made", made[-1])
            ends = con.execute(
                render(
                    "volatility_daily_state",
                    source_table="bars",
                    volatility_table="made",
                    year=text_literal(f"{year:04d}"),
                    rank=precedence_rank(precedence),
                )
            ).fetchall()
        after |= {symbol: (variance, price) for symbol, variance, price in ends}
    return pa.concat_tables(made), after


def gold_rows(
    table: TableSpec, tables: Mapping[str, pa.Table], partition: str, precedence: Sequence[str]
) -> pa.Table:
    """A gold partition that its SQL alone makes.

    Args:
        table: The gold table.
        tables: What it reads by parameter, with the partition column as a string. The first is
            there; of the others, those that have an object.
        partition: ISO date or four-digit year.
        precedence: Sources, the first one speaks where several tell the same.

    Returns:
        Rows of the table's schema.
    """
    query = gold_sql(
        table.name,
        source_table=table.reads[0].parameter,
        others={read.parameter: read.parameter for read in table.reads if read.parameter in tables},
        partition=partition,
        precedence=precedence,
    )
    return run(query, tables, table.schema)


def _by_symbols(bars: pa.Table) -> Iterator[pa.Table]:
    """The bars in parts of some symbols, in the order of the symbols."""
    symbols = pc.unique(bars["symbol"]).sort()
    at = pc.index_in(bars["symbol"], symbols)
    for start in range(0, len(symbols), MOST_SYMBOLS):
        part = pc.and_(pc.greater_equal(at, start), pc.less(at, start + MOST_SYMBOLS))
        yield bars.filter(part) if len(symbols) > MOST_SYMBOLS else bars


def _with_year(rows: pa.Table, column: str = "trade_date") -> pa.Table:
    """With the partition column that the table has in the lake."""
    years = pc.dictionary_encode(pc.year(rows[column])).combine_chunks()
    texts = pc.utf8_lpad(years.dictionary.cast(pa.string()), 4, "0")
    return rows.append_column("year", texts.take(years.indices))
