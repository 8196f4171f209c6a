"""The SQL files of the tables: one text for DuckDB, Athena and Spark, rendered with parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import duckdb
import pyarrow as pa


@cache
def text_of(name: str) -> str:
    """Text of `lib/sql/<name>.sql`, as it stands."""
    return (files("stock_pipeline.lib") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def render(name: str, **parameters: str) -> str:
    """A SQL file with its `{parameters}` filled in.

    Raises:
        KeyError: The file has a parameter that was not given.
    """
    return text_of(name).format(**parameters)


def literal(text: str) -> str:
    """A text as a SQL string literal, quotes doubled."""
    return "'" + text.replace("'", "''") + "'"


def source_rank(precedence: Sequence[str], column: str) -> str:
    """SQL expression that is smaller for a source that comes first in the precedence."""
    if not precedence:
        return "0"
    cases = " ".join(f"WHEN {literal(s)} THEN {n}" for n, s in enumerate(precedence))
    return f"CASE {column} {cases} ELSE {len(precedence)} END"


def run(sql: str, schema: pa.Schema, **relations: pa.Table) -> pa.Table:
    """Run one statement over Arrow tables in DuckDB; the result in the schema's columns and types.

    Raises:
        duckdb.Error: The statement failed.
        pyarrow.ArrowInvalid: A value does not fit the schema, such as NULL in a required column.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in relations.items():
            connection.register(name, table)
        found = connection.sql(sql).to_arrow_table()
    return found.select(schema.names).cast(schema)
