"""Gold: volatility by day and within the day, and average prices, from silver bars.

Close-to-close; Parkinson, J. Business 53:61 (1980); Garman-Klass, J. Business 53:67 (1980);
Rogers-Satchell, Ann. Appl. Prob. 1:504 (1991); Yang-Zhang, J. Business 73:477 (2000); EWMA,
RiskMetrics (1996); realized variance and bipower variation, Barndorff-Nielsen and Shephard, JFEC
2:1 (2004). All volatilities are annualised decimals: 0.2 is 20 % a year.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa

from stock_pipeline.lib.schemas import (
    DAILY_AVERAGE_PRICE_TABLE,
    GOLD_DAILY_AVERAGE_PRICE,
    GOLD_VOLATILITY_DAILY,
    GOLD_VOLATILITY_INTRADAY,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
    TableSpec,
)
from stock_pipeline.lib.sql_files import literal, render, run, source_rank, text_of

#: Per symbol: EWMA variance of one session (None before the first return), last adjusted close.
State = Mapping[str, tuple[float | None, float]]

_SQL_FILES = {
    "volatility_daily": ("volatility_daily", "volatility_daily_window"),
    "volatility_intraday": ("volatility_intraday",),
    "daily_average_price": ("daily_average_price",),
    "bars_intraday": ("bars_intraday",),
    "bars_daily": ("bars_daily",),
}


def volatility_daily(
    bars: pa.Table,
    year: int,
    windows: Sequence[int],
    ewma_lambda: float,
    precedence: Sequence[str],
    state: State,
) -> tuple[pa.Table, dict[str, tuple[float | None, float]]]:
    """Six volatilities for each day of a year and each window.

    A row for every (symbol, trade_date, window); an estimator is NULL until its window is full:
    n returns for close-to-close, n bars for the range estimators, n bars and the close before for
    Yang-Zhang. A flat bar without volume is no observation for the range estimators.

    Args:
        bars: SILVER_BARS_DAILY rows of `year` and the two years before.
        year: The year to make.
        windows: Window lengths in sessions.
        ewma_lambda: Decay of the EWMA, between 0.2 and 1.
        precedence: Sources, the preferred first.
        state: EWMA state at the end of the year before.

    Returns:
        GOLD_VOLATILITY_DAILY rows, and the state at the end of `year`.
    """
    sql = gold_sql(
        "volatility_daily",
        source_table="bars",
        partition=str(year),
        windows=windows,
        ewma_lambda=ewma_lambda,
        precedence=precedence,
        state=state,
    )
    rows = _with_text_column(bars, "year", _years(bars))
    made = _sorted(run(sql, GOLD_VOLATILITY_DAILY, bars=rows), VOLATILITY_DAILY_TABLE)
    last = run(
        f"""
        WITH chosen AS (
            SELECT b.symbol, b.trade_date, b.sessions_per_year,
                COALESCE(b.adjusted_close, b.close) AS close,
                ROW_NUMBER() OVER (
                    PARTITION BY b.symbol
                    ORDER BY b.trade_date DESC, {source_rank(precedence, "b.source")}, b.source
                ) AS choice
            FROM bars b WHERE b.year = '{year}'
        )
        SELECT c.symbol, MAX(m.ewma * m.ewma / c.sessions_per_year) AS variance,
            MAX(c.close) AS last_close
        FROM chosen c JOIN made m ON m.symbol = c.symbol AND m.trade_date = c.trade_date
        WHERE c.choice = 1 GROUP BY c.symbol
        """,  # noqa: S608 - a year and settings, quoted by source_rank
        _STATE,
        bars=rows,
        made=made,
    )
    after = dict(state)
    for row in last.to_pylist():
        after[row["symbol"]] = (row["variance"], row["last_close"])
    return made, after


def volatility_intraday(bars: pa.Table, precedence: Sequence[str]) -> pa.Table:
    """Realized measures of one trade_date in windows of 5 to 60 minutes and over the session.

    Args:
        bars: SILVER_BARS_INTRADAY rows of one trade_date, any sources and intervals.
        precedence: Sources, the preferred first.

    Returns:
        GOLD_VOLATILITY_INTRADAY rows. `complete` is false for a window that reaches beyond the
        session, or that the data have not passed yet.
    """
    # Any date will do: the partition's own is not in the file.
    day = date(2000, 1, 1).isoformat()
    sql = gold_sql("volatility_intraday", source_table="bars", partition=day, precedence=precedence)
    rows = _with_text_column(bars, "trade_date", pa.array([day] * len(bars), pa.string()))
    return _sorted(run(sql, GOLD_VOLATILITY_INTRADAY, bars=rows), VOLATILITY_INTRADAY_TABLE)


def daily_average_price(bars: pa.Table, year: int, precedence: Sequence[str]) -> pa.Table:
    """Average price (price currency) of each symbol and day of a year, and what it is based on.

    Args:
        bars: SILVER_BARS_DAILY rows of the year.
        year: The year to make.
        precedence: Sources, the preferred first.
    """
    sql = gold_sql(
        "daily_average_price", source_table="bars", partition=str(year), precedence=precedence
    )
    rows = _with_text_column(bars, "year", _years(bars))
    return _sorted(run(sql, GOLD_DAILY_AVERAGE_PRICE, bars=rows), DAILY_AVERAGE_PRICE_TABLE)


def gold_sql(
    table: str,
    *,
    source_table: str,
    partition: str,
    precedence: Sequence[str] = (),
    windows: Sequence[int] = (),
    ewma_lambda: float = 0.94,
    state: State | None = None,
) -> str:
    """The text that makes one partition of a gold table, for DuckDB and Athena alike.

    Args:
        table: Name of the gold table.
        source_table: Silver table, quoted as the engine wants it; its folder column is a string.
        partition: ISO date or year.
        precedence: Sources, the preferred first.
        windows: Of `volatility_daily`.
        ewma_lambda: Of `volatility_daily`.
        state: EWMA state at the end of the year before, of `volatility_daily`.
    """
    if table == "volatility_intraday":
        return render(
            table,
            bars_intraday=source_table,
            trade_date=date.fromisoformat(partition).isoformat(),
            source_rank=source_rank(precedence, "d.source"),
        )
    year = str(int(partition))
    if table == "daily_average_price":
        return render(
            table,
            bars_daily=source_table,
            year=year,
            source_rank=source_rank(precedence, "o.source"),
        )
    return render(
        "volatility_daily",
        bars_daily=source_table,
        year=year,
        source_rank=source_rank(precedence, "b.source"),
        ewma_lambda=_double(ewma_lambda),
        ewma_state=_state_rows(state or {}),
        windows="UNION ALL\n".join(_window(n) for n in windows),
    )


def sql_definition(table: str, **settings: object) -> str:
    """Digest of a table's SQL text and settings; another one makes its partitions due."""
    texts = [text_of(name) for name in _SQL_FILES[table]]
    text = json.dumps([texts, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_STATE = pa.schema(
    [("symbol", pa.string()), ("variance", pa.float64()), ("last_close", pa.float64())]
)


def _window(n: int) -> str:
    k = 0.34 / (1.34 + (n + 1) / (n - 1)) if n > 1 else 0.0
    return render(
        "volatility_daily_window", window=str(n), bars_before=str(n - 1), yang_zhang_k=_double(k)
    )


def _double(value: float) -> str:
    # 0.94 is a DECIMAL in every engine; with an exponent it is a DOUBLE.
    return f"{value!r}E0" if "e" not in repr(value) else repr(value)


def _state_rows(state: State) -> str:
    none = "SELECT CAST(NULL AS VARCHAR) AS symbol, CAST(NULL AS DOUBLE) AS variance, "
    none += "CAST(NULL AS DOUBLE) AS last_close"
    if not state:
        return none
    rows = []
    for symbol, (variance, close) in sorted(state.items()):
        before = "NULL" if variance is None else _double(variance)
        rows.append(f"({literal(symbol)}, {before}, {_double(close)})")
    return (
        "SELECT v.symbol, CAST(v.variance AS DOUBLE) AS variance, v.last_close "  # noqa: S608 - quoted
        f"FROM (VALUES {', '.join(rows)}) AS v (symbol, variance, last_close)"
    )


def _years(bars: pa.Table) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.cast(pc.year(bars["trade_date"]), pa.string())


def _with_text_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """The table with its folder column, as the catalogue shows it: a string."""
    return table.drop_columns([name] if name in table.column_names else []).append_column(
        name, values
    )


def _sorted(table: pa.Table, spec: TableSpec) -> pa.Table:
    return table.sort_by([(column, "ascending") for column in spec.key])
