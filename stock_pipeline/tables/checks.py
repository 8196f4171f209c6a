"""What must hold of a silver or gold result before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.columns import Bounds
from stock_pipeline.lib.schemas import TableSpec

#: Offending rows shown at most.
MOST_ROWS = 20


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
    for column in spec.columns:
        values = table[column.name]
        if pa.types.is_floating(values.type):
            # Of a NULL it is unknown, and so breaks no rule.
            bad = pc.invert(pc.is_finite(values))
            found.append(_breach(table, "finite", column.name, bad, "finite"))
        if column.bounds:
            bad = _outside(values, column.bounds)
            found.append(_breach(table, column.bounds.check, column.name, bad, column.bounds.must))
        for higher in column.at_most:
            bad = pc.greater(values, table[higher])
            found.append(_breach(table, "bars_ordered", column.name, bad, f"at most {higher}"))
    return [violation for violation in found if violation is not None]


def _outside(values: pa.ChunkedArray, bounds: Bounds) -> pa.ChunkedArray:
    """Which values are outside of their bounds."""
    breaks = [
        compare(values, bound)
        for compare, bound in (
            (pc.less, bounds.least),
            (pc.less_equal, bounds.above),
            (pc.greater, bounds.most),
            (pc.greater_equal, bounds.below),
        )
        if bound is not None
    ]
    return reduce(pc.or_, breaks)


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
