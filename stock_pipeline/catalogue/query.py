"""SQL over the lake by DuckDB: views bronze."<feed>", quarantine."<feed>", silver.* and gold.*."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

from stock_pipeline.catalogue.tables import LAYERS, LakeTable, lake_tables
from stock_pipeline.errors import UserError
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake import layout
from stock_pipeline.lake.files import native_lake_files
from stock_pipeline.lake.store import Lake, ObjectEntry
from stock_pipeline.settings import Settings

#: Silver and gold objects are replaced in place: a query that met a replacement is run again.
MOST_TRIES = 3
#: Layers whose objects are replaced.
_MUTABLE = ("silver", "gold")


class QueryError(UserError):
    """A query cannot be answered; the message is one sentence."""


def connect(settings: Settings, lake: Lake, sql: str | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with views over the lake as it is listed now.

    Rows are read when a query asks for them, by column and partition; `trade_date`, `arrival_date`
    and `year` that only the folder carries are columns of the views: DATE, and INTEGER for a year.

    Args:
        settings: Name the feeds.
        lake: Where the objects are.
        sql: Only tables that this text mentions get a view, and only their folders are listed;
            all without it.
    """
    listed = _listed(lake, _mentioned(settings, sql))
    return _connect(lake, listed)


def query(settings: Settings, lake: Lake, sql: str) -> pa.Table:
    """Answer a query on one state of each object; nobody sees half of two versions.

    Raises:
        QueryError: The SQL is wrong, or silver and gold objects were replaced at every try.
    """
    tables = _mentioned(settings, sql)
    for _ in range(MOST_TRIES):
        listed = _listed(lake, tables)
        error: Exception | None = None
        answer = None
        with _connect(lake, listed) as connection:
            try:
                relation = connection.sql(sql)
                answer = relation.to_arrow_table() if relation is not None else None
            except (duckdb.Error, OSError, pa.ArrowException) as failed:
                error = failed
        mutable = [table for table in tables if table.layer in _MUTABLE]
        if error is not None and isinstance(error, _WRONG_SQL):
            raise QueryError(_sentence(error, tables, settings)) from error
        if _listed(lake, mutable) == {table: listed[table] for table in mutable}:
            if error is not None:
                raise QueryError(_sentence(error, tables, settings)) from error
            if answer is None:
                raise QueryError("That statement gives no rows: ask with SELECT.")
            return answer
    raise QueryError(
        f"Silver or gold objects were replaced {MOST_TRIES} times while the query read them; "
        "nothing was changed. Ask again."
    )


def _mentioned(settings: Settings, sql: str | None) -> list[LakeTable]:
    """Tables whose name is in the text; more than meant costs a listing, never a wrong answer."""
    text = None if sql is None else sql.lower()
    return [
        table
        for table in lake_tables(settings)
        if text is None
        or (table.name.lower() in text and re.search(rf"\b{table.layer}\b", text) is not None)
    ]


def _listed(lake: Lake, tables: Iterable[LakeTable]) -> dict[LakeTable, list[ObjectEntry]]:
    tables = list(tables)

    def objects(table: LakeTable) -> list[ObjectEntry]:
        entries = [e for e in lake.list(table.prefix) if e.key.endswith(".parquet")]
        if table.layer in _MUTABLE:
            return entries
        # Rows of a batch that was read again count no more.
        superseded = OffsetLog(lake, table.name).state().superseded
        if not superseded:
            return entries
        return [e for e in entries if layout.seq_of_object_key(e.key) not in superseded]

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(tables, pool.map(objects, tables), strict=True))


def _connect(lake: Lake, listed: dict[LakeTable, list[ObjectEntry]]) -> duckdb.DuckDBPyConnection:
    # Python variables of the caller are no tables, and nothing may read this machine's files.
    config: dict[str, str | bool | int | float | list[str]] = {
        "python_enable_replacements": False,
        "enable_external_access": False,
    }
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    for layer in LAYERS:
        connection.execute(f"CREATE SCHEMA {layer}")
    files = native_lake_files(lake.aws)
    for table, entries in listed.items():
        name = f"{table.layer}__{table.name}"
        paths = [f"{lake.bucket}/{entry.key}" for entry in entries]
        connection.register(name, _dataset(files, table, paths))
        connection.execute(
            f'CREATE VIEW {table.layer}."{table.name}" AS SELECT * FROM "{name}"'  # noqa: S608
        )
    return connection


def _dataset(files: pyarrow.fs.FileSystem, table: LakeTable, paths: list[str]) -> ds.Dataset:
    """The objects with their folder column; its values prune without opening an object."""
    column = table.partition_column
    kind = pa.int32() if column == "year" else pa.date32()
    # Fields are nullable here: an older object may lack a column.
    schema = pa.schema([*(f.with_nullable(True) for f in table.schema), pa.field(column, kind)])
    if not paths:
        return ds.dataset(schema.empty_table())
    values = [path.rsplit("/", 2)[1].split("=", 1)[1] for path in paths]
    return ds.FileSystemDataset.from_paths(
        paths,
        schema=schema,
        format=ds.ParquetFileFormat(),
        filesystem=files,
        partitions=[ds.field(column) == _scalar(value, kind) for value in values],
    )


def _scalar(value: str, kind: pa.DataType) -> pa.Scalar:
    parsed = int(value) if kind == pa.int32() else datetime.date.fromisoformat(value)
    return pa.scalar(parsed, kind)


#: The text is at fault, whatever the objects hold.
_WRONG_SQL = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
)


def _sentence(error: Exception, tables: list[LakeTable], settings: Settings) -> str:
    lines = str(error).strip().split("\n")
    hints = [line for line in lines[1:] if line.startswith("Candidate")]
    sentence = ". ".join(line.strip().rstrip(".!") for line in [lines[0], *hints[:1]])
    if isinstance(error, duckdb.CatalogException) and not tables:
        names = ", ".join(f'{t.layer}."{t.name}"' for t in lake_tables(settings))
        return f"{sentence}. Tables: {names}."
    return f"{sentence}."
