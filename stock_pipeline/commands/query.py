"""`stock-pipeline query "SELECT ..."`: SQL over the lake, by DuckDB."""

from __future__ import annotations

import datetime
import json
import math
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_pipeline.catalogue.query import query as ask
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.settings import get_settings

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a table on a terminal whose height is unknown.
ROWS_WITHOUT_TERMINAL = 50


class Format(StrEnum):
    """How rows are shown."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def query(
    sql: Annotated[str, typer.Argument(help="One statement, in DuckDB's dialect.")],
    output: Annotated[
        Format, typer.Option("--format", help="table shows what fits; csv and json all rows.")
    ] = Format.TABLE,
) -> None:
    """Ask the lake: bronze."<feed>", quarantine."<feed>", silver.* and gold.*."""
    settings = get_settings()
    rows = ask(settings, Lake(settings.aws), sql)
    if output is Format.CSV:
        _csv(rows)
    elif output is Format.JSON:
        typer.echo(json.dumps([_record(row) for row in rows.to_pylist()], indent=2))
    else:
        _table(rows)


def plain(value: Any) -> Any:
    """A value as JSON has it: dates and times ISO, bytes as text, numbers and NULL as they are."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has neither NaN nor infinity.
    if isinstance(value, dict):
        return _record(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _record(row: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}


def _csv(rows: pa.Table) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows.column_names)
    for batch in rows.to_batches():
        for row in batch.to_pylist():
            writer.writerow("" if v is None else plain(v) for v in row.values())


def _table(rows: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    # Title, header, three rules and the prompt need a line each.
    fits = max(5, console.height - 7) if console.is_terminal else ROWS_WITHOUT_TERMINAL
    table = Table(*rows.column_names)
    for row in rows.slice(0, fits).to_pylist():
        # Text, not a string: brackets in a symbol are no markup.
        table.add_row(*(Text("" if v is None else _short(v)) for v in row.values()))
    console.print(table)
    if rows.num_rows > fits:
        console.print(f"{fits:,} of {rows.num_rows:,} rows; all of them: --format csv")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(plain(value)))
