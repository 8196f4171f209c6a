"""What must hold of a silver or gold result before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.schemas import TableSpec

#: Offending rows shown at most.
MOST_ROWS = 20

#: Annualised volatilities are fractions: 100 is 10,000 %.
HIGHEST_VOLATILITY = 100.0

_PRICES = {"open", "high", "low", "close", "adjusted_close", "vwap", "mean_price", "mean_close"}
_PRICES |= {"close_usd", "avg_price", "ratio", "amount"}
_VOLATILITIES = {"close_to_close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang"}
_VOLATILITIES |= {"ewma", "realized_volatility", "close_to_close_20"}
_AMOUNTS = {"volume", "trade_count", "bar_count", "realized_variance", "bipower_variation"}
_AMOUNTS |= {"sessions_per_year", "observations", "article_count"}
#: Lowest and highest value.
_BOUNDS = {
    "jump_share": (0.0, 1.0),
    "vader_share": (0.0, 1.0),
    "relevance": (0.0, 1.0),
    "sentiment": (-1.0, 1.0),
    "overall_sentiment": (-1.0, 1.0),
    "mean_sentiment": (-1.0, 1.0),
}


#: (lower, higher) pairs of columns; checked where a table has both.
_ORDERED = (
    ("low", "high"),
    ("low", "open"),
    ("low", "close"),
    ("open", "high"),
    ("close", "high"),
    ("session_open", "session_close"),
)


@dataclass(frozen=True)
class Violation:
    """A rule that a result breaks.

    Attributes:
        check: Name of the rule.
        sentence: What is wrong with how many rows.
        rows: Offending rows, at most 20.
    """

    check: str
    sentence: str
    rows: pa.Table


def violations(spec: TableSpec, table: pa.Table) -> list[Violation]:
    """Every rule that a result breaks; none means that it may be published.

    Args:
        spec: The table.
        table: Its partition's rows, in the table's schema.
    """
    names = ", ".join(f.name for f in spec.schema)
    if [(f.name, f.type) for f in table.schema] != [(f.name, f.type) for f in spec.schema]:
        sentence = f"{spec.name} must have exactly the columns {names}, in the schema's types."
        return [Violation("schema", sentence, table.slice(0, MOST_ROWS))]
    found = [_nulls(spec, table), _unique(spec, table), _sorted_by_key(spec, table)]
    for field in spec.schema:
        column = table[field.name]
        if pa.types.is_floating(field.type):
            # Of a NULL it is unknown, and so breaks no rule.
            bad = pc.invert(pc.is_finite(column))
            found.append(_breach(table, "finite", field.name, bad, "finite"))
        if field.name in _PRICES:
            bad = pc.less_equal(column, 0)
            found.append(_breach(table, "prices_positive", field.name, bad, "above zero"))
        if field.name in _AMOUNTS:
            bad = pc.less(column, 0)
            found.append(_breach(table, "amounts_not_negative", field.name, bad, "zero or more"))
        if field.name in _VOLATILITIES:
            bad = pc.or_(pc.less(column, 0), pc.greater_equal(column, HIGHEST_VOLATILITY))
            bounds = f"from 0 to below {HIGHEST_VOLATILITY:g}"
            found.append(_breach(table, "volatilities_bounded", field.name, bad, bounds))
        if field.name in _BOUNDS:
            least, most = _BOUNDS[field.name]
            bad = pc.or_(pc.less(column, least), pc.greater(column, most))
            bounds = f"from {least:g} to {most:g}"
            found.append(_breach(table, "shares_bounded", field.name, bad, bounds))
    for lower, higher in _ORDERED:
        if {lower, higher} <= set(spec.schema.names):
            bad = pc.greater(table[lower], table[higher])
            found.append(_breach(table, "bars_ordered", lower, bad, f"at most {higher}"))
    return [violation for violation in found if violation is not None]


def _breach(
    table: pa.Table, check: str, column: str, bad: pa.ChunkedArray, must: str
) -> Violation | None:
    rows = table.filter(bad)
    if not rows.num_rows:
        return None
    sentence = f"{column} must be {must}; {rows.num_rows} of {table.num_rows} rows break this."
    return Violation(check, sentence, rows.slice(0, MOST_ROWS))


def _nulls(spec: TableSpec, table: pa.Table) -> Violation | None:
    required = [f.name for f in spec.schema if not f.nullable]
    missing = [name for name in required if table[name].null_count]
    if not missing:
        return None
    bad = reduce(pc.or_, (pc.is_null(table[name]) for name in missing))
    return _breach(table, "not_null", ", ".join(missing), bad, "given in every row")


def _unique(spec: TableSpec, table: pa.Table) -> Violation | None:
    key = list(spec.key)
    counts = table.select(key).group_by(key).aggregate([([], "count_all")])
    repeated = counts.filter(pc.greater(counts["count_all"], 1))
    if not repeated.num_rows:
        return None
    sentence = f"{repeated.num_rows} keys ({', '.join(key)}) have more than one row."
    return Violation("keys_unique", sentence, repeated.slice(0, MOST_ROWS))


def _sorted_by_key(spec: TableSpec, table: pa.Table) -> Violation | None:
    """A row may not be below the one before it."""
    if table.num_rows < 2:
        return None
    flat = table.select(list(spec.key)).combine_chunks()
    below, equal = pa.scalar(False), pa.scalar(True)
    for name in spec.key:
        before, after = flat[name][:-1], flat[name][1:]
        below = pc.or_(below, pc.and_(equal, pc.less(after, before)))
        equal = pc.and_(equal, pc.equal(after, before))
    rows = table.slice(1).filter(below)
    if not rows.num_rows:
        return None
    sentence = f"Rows must be sorted by {', '.join(spec.key)}; {rows.num_rows} are not."
    return Violation("sorted", sentence, rows.slice(0, MOST_ROWS))
