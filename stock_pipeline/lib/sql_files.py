"""The SQL files of the silver and gold tables: rendered, digested and run on DuckDB.

Each text stays in the subset that DuckDB, Trino (Athena) and Spark read the same way: no `::`, no
QUALIFY, `ln` never `log`, doubles written with an exponent, columns named `interval` and `year`
only behind a table alias.
"""

from __future__ import annotations

import os
import string
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

FOLDER = Path(__file__).parent / "sql"


@cache
def sql_text(name: str) -> str:
    """Text of `lib/sql/<name>.sql` as it is in the file."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def parameters_of(name: str) -> set[str]:
    """Names of the parameters in `lib/sql/<name>.sql`."""
    parsed = string.Formatter().parse(sql_text(name))
    return {field for _, field, _, _ in parsed if field is not None}


def render(name: str, **parameters: str) -> str:
    """Text of `lib/sql/<name>.sql` with every `{parameter}` replaced.

    Args:
        name: File name without `.sql`.
        parameters: Exactly the file's parameters; table names are parameters too.

    Raises:
        ValueError: A parameter is missing or unknown.
    """
    wanted = parameters_of(name)
    if wanted != parameters.keys():
        raise ValueError(
            f"lib/sql/{name}.sql has the parameters {sorted(wanted)}, not {sorted(parameters)}."
        )
    return sql_text(name).format(**parameters)


def text_of(table: str) -> str:
    """All SQL files of a table, one after the other: what a digest of its definition covers.

    Raises:
        ValueError: The table has no SQL file.
    """
    names = sorted(p.stem for p in FOLDER.glob("*.sql") if f"{p.stem}_".startswith(f"{table}_"))
    if not names:
        raise ValueError(f"Table {table} has no file in lib/sql.")
    return "\n".join(sql_text(name) for name in names)


def text_literal(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def double_literal(value: float | None) -> str:
    """A literal that every engine reads as this very double, or as a NULL double."""
    return "CAST(NULL AS DOUBLE)" if value is None else f"{value:.16E}"


def precedence_rank(precedence: Sequence[str]) -> str:
    """Expression: place of the bar's source (`b.source`) in the precedence, unknown ones last."""
    ranks = "".join(f" WHEN {text_literal(s)} THEN {i}" for i, s in enumerate(precedence))
    return f"CASE b.source{ranks} ELSE {len(precedence)} END" if ranks else "0"


def run(query: str, tables: Mapping[str, pa.Table], schema: pa.Schema) -> pa.Table:
    """Run a query on DuckDB over Arrow tables, and give its rows in a schema.

    Args:
        query: Selects the schema's columns by name.
        tables: Arrow tables by the name that the query gives them.
        schema: Of the result.

    Raises:
        ValueError: A column that must not be NULL holds one.
    """
    with connection(tables) as con:
        return fetch(con, query, schema)


def connection(tables: Mapping[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in memory that reads these Arrow tables by name."""
    con = duckdb.connect(config={"threads": min(4, os.cpu_count() or 1)})
    for name, table in tables.items():
        con.register(name, table)
    return con


def fetch(con: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> pa.Table:
    """Rows of a query in a schema.

    Raises:
        ValueError: A column that must not be NULL holds one.
    """
    rows = con.sql(query).to_arrow_table().select(schema.names)
    for field in schema:
        if not field.nullable and rows[field.name].null_count:
            raise ValueError(
                f"Column {field.name} must not be NULL, but {rows[field.name].null_count} of "
                f"{rows.num_rows} computed rows hold one; nothing was written."
            )
    return rows.cast(schema)
