"""Whether two engines made the same table: row by row, column by column."""

# Names in the SQL come from schemas of ours, never from data.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

RELATIVE_TOLERANCE = 1e-9
#: A share of the column's largest value that counts as zero: differences of nearly equal numbers
#: (jump_share, z-scores) keep no relative precision when sums are added up in another order.
ZERO_SHARE = 1e-12
#: The most differing values that are reported.
MOST_DIFFERENCES = 20


@dataclass(frozen=True)
class Parity:
    """Outcome of a comparison.

    Attributes:
        rows: Rows that were compared, those of one side only included.
        differing: Values that differ, and rows of one side only.
        max_relative_difference: Over all pairs of finite floating point values; 0 without any.
        examples: Key columns, `column`, `expected` and `actual`, all as text; at most 20.
    """

    rows: int
    differing: int
    max_relative_difference: float
    examples: tuple[dict[str, str], ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.differing == 0


@dataclass(frozen=True)
class _Test:
    """A column (or the row itself), the SQL condition of a difference, and how to show it."""

    column: str
    differs: str
    expected: str
    actual: str


def compare(expected: pa.Table, actual: pa.Table, key: Sequence[str]) -> Parity:
    """Compare tables with the same columns, whatever their order of rows.

    Floating point values are equal up to a relative 1e-9; NULL equals NULL, NaN equals NaN.

    Args:
        expected: What it should be.
        actual: What the other engine made; columns are cast to the types of `expected`.
        key: Columns that identify a row in both; a key that occurs twice in one of them differs.

    Raises:
        KeyError: `actual` lacks a column.
        pyarrow.ArrowInvalid: A value of `actual` does not fit the type of its column.
    """
    types = pa.schema([f.with_nullable(True) for f in expected.schema])
    columns = ", ".join(f'"{k}"' for k in key)
    with duckdb.connect() as connection:
        connection.register("expected_rows", expected)
        connection.register("actual_rows", actual.select(types.names).cast(types))
        # The n-th row of a key is compared with the n-th: a duplicate is a row of one side only.
        numbered = f"SELECT *, row_number() OVER (PARTITION BY {columns}) AS nth FROM"
        same = " AND ".join(f'e."{k}" IS NOT DISTINCT FROM a."{k}"' for k in key)
        connection.execute(
            f"CREATE TABLE pairs AS SELECT e, a FROM ({numbered} expected_rows) AS e "
            f"FULL JOIN ({numbered} actual_rows) AS a ON {same} AND e.nth = a.nth"
        )
        differing, examples = 0, list[dict[str, str]]()
        for test in _tests(types, key, connection):
            found = _number(connection, f"SELECT count(*) FROM pairs WHERE {test.differs}")
            if found:
                differing += int(found)
                examples += _examples(connection, test, key, MOST_DIFFERENCES - len(examples))
        shares = [
            _number(connection, f"SELECT max({_relative(name)}) FROM pairs WHERE {_finite(name)}")
            for name in _floats(types)
        ]
        rows = int(_number(connection, "SELECT count(*) FROM pairs"))
    return Parity(rows, differing, max(shares, default=0.0), tuple(examples))


def _tests(
    schema: pa.Schema, key: Sequence[str], connection: duckdb.DuckDBPyConnection
) -> Iterator[_Test]:
    present = "CASE WHEN {}.nth IS NULL THEN 'no row' ELSE 'a row' END"
    yield _Test(
        "(row)",
        "e.nth IS NULL OR a.nth IS NULL",
        present.format("e"),
        present.format("a"),
    )
    floats = _floats(schema)
    for name in schema.names:
        if name in key:
            continue
        differs = (
            f'e.nth IS NOT NULL AND a.nth IS NOT NULL AND e."{name}" IS DISTINCT FROM a."{name}"'
        )
        if name in floats:
            largest = _number(
                connection,
                f'SELECT max(abs("{name}")) FROM expected_rows WHERE isfinite("{name}")',
            )
            differs += (
                f" AND NOT coalesce({_finite(name)} AND "
                f"({_relative(name)} <= {RELATIVE_TOLERANCE!r} OR "
                f'abs(e."{name}" - a."{name}") <= {largest * ZERO_SHARE!r}), false)'
            )
        yield _Test(name, differs, f'e."{name}"::VARCHAR', f'a."{name}"::VARCHAR')


def _examples(
    connection: duckdb.DuckDBPyConnection, test: _Test, key: Sequence[str], most: int
) -> list[dict[str, str]]:
    keys = ", ".join(f'coalesce(e."{k}", a."{k}")::VARCHAR' for k in key)
    rows = connection.execute(
        f"SELECT {keys}, '{test.column}', {test.expected}, {test.actual} FROM pairs "
        f"WHERE {test.differs} ORDER BY ALL LIMIT {most}"
    ).fetchall()
    names = (*key, "column", "expected", "actual")
    return [dict(zip(names, map(str, row), strict=True)) for row in rows]


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    ((value,),) = connection.execute(sql).fetchall()
    return value or 0.0


def _floats(schema: pa.Schema) -> list[str]:
    return [f.name for f in schema if pa.types.is_floating(f.type)]


def _finite(name: str) -> str:
    return f'isfinite(e."{name}") AND isfinite(a."{name}")'


def _relative(name: str) -> str:
    return (
        f'CASE WHEN e."{name}" = a."{name}" THEN 0.0 ELSE '
        f'abs(e."{name}" - a."{name}") / greatest(abs(e."{name}"), abs(a."{name}")) END'
    )
