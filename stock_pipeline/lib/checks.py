"""What a silver or gold partition must be before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.lib.sql_files import run

#: 10,000 % a year: above it is no volatility but a wrong price.
MOST_VOLATILITY = 100.0
SHOWN_ROWS = 20

_VOLATILITIES = (
    "close_to_close",
    "parkinson",
    "garman_klass",
    "rogers_satchell",
    "yang_zhang",
    "ewma",
    "realized_volatility",
)


@dataclass(frozen=True)
class Violation:
    """A check that a partition fails.

    Attributes:
        check: Name of the check.
        sentence: What is wrong and how often.
        rows: The first offending rows, at most 20.
    """

    check: str
    sentence: str
    rows: pa.Table


def violations(spec: TableSpec, table: pa.Table) -> list[Violation]:
    """Every check that the rows of a partition fail; an empty list when it may be published.

    Args:
        spec: The table.
        table: Rows of one partition, in the table's schema.
    """
    names = table.column_names
    found = []
    keys = ", ".join(spec.key)
    conditions = {
        "unique_keys": (
            "the key occurs more than once",
            f"COUNT(*) OVER (PARTITION BY {keys}) > 1",
        ),
        "finite_numbers": (
            "a number is not finite",
            " OR ".join(
                f"NOT ISFINITE({f.name})" for f in table.schema if pa.types.is_floating(f.type)
            ),
        ),
    }
    if {"open", "high", "low", "close"} <= set(names):
        conditions["possible_prices"] = (
            "a price is not positive, or high and low do not enclose open and close",
            "low <= 0 OR high < low OR open > high OR open < low OR close > high OR close < low",
        )
        conditions["possible_volume"] = ("the volume is negative", "volume < 0")
    elif {"high", "low"} <= set(names):
        conditions["possible_prices"] = (
            "a price is not positive, or high is below low",
            "low <= 0 OR high < low",
        )
    if "avg_price" in names:
        conditions["possible_prices"] = ("the price is not positive", "avg_price <= 0")
    volatilities = [name for name in _VOLATILITIES if name in names]
    if volatilities:
        conditions["possible_volatility"] = (
            f"a volatility is negative or above {MOST_VOLATILITY:,.0f}",
            " OR ".join(f"{v} < 0 OR {v} > {MOST_VOLATILITY}" for v in volatilities),
        )
    for check, (sentence, condition) in conditions.items():
        sql = f"SELECT * FROM (SELECT *, {condition} AS wrong FROM rows_) WHERE wrong"  # noqa: S608 - names of our schemas
        wrong = run(sql, table.schema, rows_=table)
        if len(wrong):
            where = f"{spec.layer}.{spec.name}"
            found.append(
                Violation(check, f"{where}: {sentence} in {len(wrong):,} rows", wrong[:SHOWN_ROWS])
            )
    return found
