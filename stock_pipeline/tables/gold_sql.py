"""The SQL text of a gold partition, the same for DuckDB here and for Athena."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from stock_pipeline.lib.schemas import (
    DAILY_AVERAGE_PRICE_TABLE,
    SENTIMENT_DAILY_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.lib.sql_files import (
    double_literal,
    precedence_rank,
    render,
    text_literal,
    text_of,
)
from stock_pipeline.tables.reads import READS, YEARS_BEFORE, no_rows

#: By symbol: EWMA variance per session (None before the first return), last adjusted close.
State = Mapping[str, tuple[float | None, float]]

#: The least lambda: its powers over a year of daily bars stay within a double.
LEAST_LAMBDA = 0.2

#: What volatility_daily_sums.sql gives of each window.
_SUMS = ("returns", "ranges", "sum_r", "sum_r2", "sum_o2", "sum_c", "sum_c2", "sum_hl2", "sum_rs")


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
