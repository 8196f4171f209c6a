"""Gold tables from silver bars: one SQL text a table, run by DuckDB here and by Athena."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.gold_reads import READS, YEARS_BEFORE, no_rows
from stock_pipeline.lib.schemas import (
    DAILY_AVERAGE_PRICE_TABLE,
    GOLD_DAILY_AVERAGE_PRICE,
    GOLD_SENTIMENT_DAILY,
    GOLD_VOLATILITY_DAILY,
    GOLD_VOLATILITY_INTRADAY,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.lib.sql_files import (
    connection,
    double_literal,
    fetch,
    precedence_rank,
    render,
    run,
    text_literal,
    text_of,
)

#: By symbol: EWMA variance per session (None before the first return), last adjusted close.
State = Mapping[str, tuple[float | None, float]]

#: The least lambda: its powers over a year of daily bars stay within a double.
LEAST_LAMBDA = 0.2

#: Symbols whose volatilities are made at once: bounds the memory, and is no slower.
MOST_SYMBOLS = 1_000

#: What volatility_daily_sums.sql gives of each window.
_SUMS = ("returns", "ranges", "sum_r", "sum_r2", "sum_o2", "sum_c", "sum_c2", "sum_hl2", "sum_rs")


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


def volatility_intraday(bars: pa.Table, precedence: Sequence[str]) -> pa.Table:
    """Realised variance by windows of one date's regular sessions.

    Args:
        bars: SILVER_BARS_INTRADAY of one date.
        precedence: Sources, the first one speaks where several have a symbol's 1-minute bars.

    Returns:
        GOLD_VOLATILITY_INTRADAY.
    """
    query = gold_sql(
        VOLATILITY_INTRADAY_TABLE.name,
        source_table="bars",
        partition="",
        precedence=precedence,
    )
    day = pa.repeat("", bars.num_rows)
    dated = bars.append_column("trade_date", day)
    return run(query, {"bars": dated}, GOLD_VOLATILITY_INTRADAY)


def daily_average_price(bars: pa.Table, year: int, precedence: Sequence[str]) -> pa.Table:
    """Average price of each symbol's day, and what it is an average of.

    Args:
        bars: SILVER_BARS_DAILY of the year.
        year: The year.
        precedence: Sources, the first one speaks where several have the same basis.

    Returns:
        GOLD_DAILY_AVERAGE_PRICE.
    """
    query = gold_sql(
        DAILY_AVERAGE_PRICE_TABLE.name,
        source_table="bars",
        partition=str(year),
        precedence=precedence,
    )
    return run(query, {"bars": _with_year(bars)}, GOLD_DAILY_AVERAGE_PRICE)


def sentiment_daily(
    news: pa.Table,
    year: int,
    volatility_daily: pa.Table,
    volatility_intraday: pa.Table,
) -> pa.Table:
    """Mean sentiment of each symbol's news by session, beside its return and volatility.

    Args:
        news: SILVER_NEWS of the year.
        year: The year.
        volatility_daily: GOLD_VOLATILITY_DAILY of the year.
        volatility_intraday: GOLD_VOLATILITY_INTRADAY with the ISO `trade_date` of its folders.

    Returns:
        GOLD_SENTIMENT_DAILY.
    """
    others = {
        "volatility_daily": _with_year(volatility_daily),
        "volatility_intraday": volatility_intraday,
    }
    query = gold_sql(
        SENTIMENT_DAILY_TABLE.name,
        source_table="news",
        others={name: name for name in others},
        partition=str(year),
    )
    return run(query, {"news": _with_year(news), **others}, GOLD_SENTIMENT_DAILY)


def gold_sql(
    table: str,
    *,
    source_table: str,
    partition: str,
    others: Mapping[str, str] | None = None,
    windows: Sequence[int] = (),
    ewma_lambda: float = 0.94,
    precedence: Sequence[str] = (),
    state: State | None = None,
) -> str:
    """The text that makes one partition of a gold table, the same for every engine.

    Args:
        table: Name of the gold table.
        source_table: Quoted name of the silver table, which has its partition column as a string.
        partition: ISO date or four-digit year.
        others: Quoted names of the other tables of `READS`, by parameter; what is left out has no
            object and so no row.
        windows: Of volatility_daily: lengths in bars.
        ewma_lambda: Of volatility_daily: decay a bar.
        precedence: Sources in order.
        state: Of volatility_daily: EWMA state at the end of the year before. About 50 bytes a
            symbol; Athena takes texts of 256 KiB.

    Raises:
        ValueError: No such table, a window is below 2, or lambda is below 0.2 or not below 1.
    """
    rank = precedence_rank(precedence)
    if table == VOLATILITY_INTRADAY_TABLE.name:
        return render(
            table, source_table=source_table, trade_date=text_literal(partition), rank=rank
        )
    if table == DAILY_AVERAGE_PRICE_TABLE.name:
        return render(table, source_table=source_table, year=text_literal(partition), rank=rank)
    given = others or {}
    if table == SENTIMENT_DAILY_TABLE.name:
        missing = {r.parameter: no_rows(r.table) for r in READS[table][1:]}
        return render(
            table,
            source_table=source_table,
            year=text_literal(partition),
            first_day=text_literal(f"{partition}-01-01"),
            last_day=text_literal(f"{partition}-12-31"),
            **{**missing, **given},
        )
    if table != VOLATILITY_DAILY_TABLE.name:
        raise ValueError(f"{table} is no gold table.")
    if not windows or min(windows) < 2:
        raise ValueError(f"Windows of volatility_daily must be 2 bars or more, not {windows}.")
    if not LEAST_LAMBDA <= ewma_lambda < 1:
        raise ValueError(f"The EWMA lambda must be from {LEAST_LAMBDA} to below 1: {ewma_lambda}.")
    ordered = sorted(set(windows))
    pairs = sorted((state or {}).items())
    years = {
        "year": text_literal(partition),
        "first_year": text_literal(f"{int(partition) - YEARS_BEFORE:04d}"),
    }
    return render(
        table,
        source_table=source_table,
        rank=rank,
        **years,
        **_adjustment(given.get("actions"), rank, years),
        year_start=f"DATE '{partition}-01-01'",
        ewma_lambda=double_literal(ewma_lambda),
        longest=str(ordered[-1]),
        windows=", ".join(f"({n})" for n in ordered),
        sums=_fragments("volatility_daily_sums", ordered),
        frames=_fragments("volatility_daily_frame", ordered),
        picks=_picks(ordered),
        state="".join(
            f",\n        ({text_literal(symbol)}, {double_literal(variance)}, "
            f"{double_literal(price)})"
            for symbol, (variance, price) in pairs
        ),
    )


def sql_definition(table: str, **settings: object) -> str:
    """Digest of a table's SQL files and of the settings that they are rendered with.

    Args:
        table: Name of a silver or gold table.
        settings: Anything that JSON can hold.
    """
    text = json.dumps([text_of(table), settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _by_symbols(bars: pa.Table) -> Iterator[pa.Table]:
    """The bars in parts of some symbols, in the order of the symbols."""
    symbols = pc.unique(bars["symbol"]).sort()
    at = pc.index_in(bars["symbol"], symbols)
    for start in range(0, len(symbols), MOST_SYMBOLS):
        part = pc.and_(pc.greater_equal(at, start), pc.less(at, start + MOST_SYMBOLS))
        yield bars.filter(part) if len(symbols) > MOST_SYMBOLS else bars


def _adjustment(actions: str | None, rank: str, years: Mapping[str, str]) -> dict[str, str]:
    """What splits and dividends add to volatility_daily.sql: nothing where there are none."""
    if actions is None:
        return {"before": "", "carried": "", "adjustment": "", "priced": "linked"}
    text = render("volatility_daily_actions", actions=actions, rank=rank, **years)
    lags = {"date_before": "trade_date", "adjusted_before": "adjusted_close"}
    return {
        "before": "".join(f",\n        lag({c}) OVER by_date AS {n}" for n, c in lags.items()),
        "carried": ", b.adjusted_close, b.adjusted_before, b.date_before",
        "adjustment": text.rstrip(),
        "priced": "adjusted",
    }


def _fragments(name: str, windows: Sequence[int]) -> str:
    return "".join(render(name, n=str(n), before=str(n - 1)).rstrip() for n in windows)


def _picks(windows: Sequence[int]) -> str:
    """Columns that take, in the row of a window, that window's sums."""
    return "".join(
        ",\n        CASE w.window_days "
        + " ".join(f"WHEN {n} THEN s.{name}_{n}" for n in windows)
        + f" END AS {name}"
        for name in _SUMS
    )


def _with_year(rows: pa.Table, column: str = "trade_date") -> pa.Table:
    """With the partition column that the table has in the lake."""
    years = pc.dictionary_encode(pc.year(rows[column])).combine_chunks()
    texts = pc.utf8_lpad(years.dictionary.cast(pa.string()), 4, "0")
    return rows.append_column("year", texts.take(years.indices))
