"""The SQL text of a gold partition, the same for DuckDB here and for Athena."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stock_pipeline.lib.schemas import TABLES, VOLATILITY_DAILY_TABLE
from stock_pipeline.lib.schemas.volatility_daily import YEARS_BEFORE
from stock_pipeline.lib.sql_files import (
    double_literal,
    parameters_of,
    precedence_rank,
    render,
    text_literal,
    text_of,
)
from stock_pipeline.tables.reads import no_rows

#: By symbol: EWMA variance per session (None before the first return), last adjusted close.
State = Mapping[str, tuple[float | None, float]]

#: The least lambda: its powers over a year of daily bars stay within a double.
LEAST_LAMBDA = 0.2

#: What volatility_daily_sums.sql gives of each window.
_SUMS = ("returns", "ranges", "sum_r", "sum_r2", "sum_o2", "sum_c", "sum_c2", "sum_hl2", "sum_rs")


@dataclass(frozen=True)
class _Asked:
    """What a text is rendered for."""

    partition: str
    others: Mapping[str, str]
    windows: Sequence[int]
    ewma_lambda: float
    rank: str
    state: State


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

    The table's SQL file takes what it names of: the parameters of its `TableSpec.reads`, `rank` (of
    the source of a bar `b`), `year` or `trade_date` (the partition), `first_day` and `last_day` (of
    a year), and of volatility_daily what only that has.

    Args:
        table: Name of the gold table.
        source_table: Quoted name of the first table that it reads, which has its partition column
            as a string.
        partition: ISO date or four-digit year.
        others: Quoted names of the other tables that it reads, by parameter; what is left out has
            no object and so no row.
        windows: Of volatility_daily: lengths in bars.
        ewma_lambda: Of volatility_daily: decay a bar.
        precedence: Sources in order.
        state: Of volatility_daily: EWMA state at the end of the year before. About 50 bytes a
            symbol; Athena takes texts of 256 KiB.

    Raises:
        ValueError: No such table, a window is below 2, or lambda is below 0.2 or not below 1.
    """
    spec = TABLES.get(table)
    if spec is None or spec.layer != "gold":
        raise ValueError(f"{table} is no gold table.")
    needed, *more = spec.reads
    rank = precedence_rank(precedence)
    asked = _Asked(partition, others or {}, windows, ewma_lambda, rank, state or {})
    given = {
        "rank": rank,
        spec.partition_column: text_literal(partition),
        "first_day": text_literal(f"{partition}-01-01"),
        "last_day": text_literal(f"{partition}-12-31"),
        needed.parameter: source_table,
        **{
            read.parameter: asked.others.get(read.parameter) or no_rows(read.table) for read in more
        },
        **(_SPECIAL[table](asked) if table in _SPECIAL else {}),
    }
    return render(table, **{name: given[name] for name in parameters_of(table) if name in given})


def sql_definition(table: str, **settings: object) -> str:
    """Digest of a table's SQL files and of the settings that they are rendered with.

    Args:
        table: Name of a silver or gold table.
        settings: Anything that JSON can hold.
    """
    text = json.dumps([text_of(table), settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _volatility_daily(asked: _Asked) -> dict[str, str]:
    """What only volatility_daily.sql takes: its windows, the EWMA, the adjustment."""
    if not asked.windows or min(asked.windows) < 2:
        raise ValueError(
            f"Windows of volatility_daily must be 2 bars or more, not {asked.windows}."
        )
    if not LEAST_LAMBDA <= asked.ewma_lambda < 1:
        raise ValueError(
            f"The EWMA lambda must be from {LEAST_LAMBDA} to below 1: {asked.ewma_lambda}."
        )
    ordered = sorted(set(asked.windows))
    years = {
        "year": text_literal(asked.partition),
        "first_year": text_literal(f"{int(asked.partition) - YEARS_BEFORE:04d}"),
    }
    return {
        **years,
        **_adjustment(asked.others.get("actions"), asked.rank, years),
        "year_start": f"DATE '{asked.partition}-01-01'",
        "ewma_lambda": double_literal(asked.ewma_lambda),
        "longest": str(ordered[-1]),
        "windows": ", ".join(f"({n})" for n in ordered),
        "sums": _fragments("volatility_daily_sums", ordered),
        "frames": _fragments("volatility_daily_frame", ordered),
        "picks": _picks(ordered),
        "state": "".join(
            f",\n        ({text_literal(symbol)}, {double_literal(variance)}, "
            f"{double_literal(price)})"
            for symbol, (variance, price) in sorted(asked.state.items())
        ),
    }


#: By table, parameters that are worked out for it alone.
_SPECIAL: Mapping[str, Callable[[_Asked], Mapping[str, str]]] = {
    VOLATILITY_DAILY_TABLE.name: _volatility_daily
}


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
