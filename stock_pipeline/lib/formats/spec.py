"""What is known of a message format; each has a module of its own in this folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from stock_pipeline.lib.columns import Column, schema_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Grain:
    """What a bronze row is. All that reads bronze treats formats of one grain alike.

    Attributes:
        name: How code that makes silver rows of it finds it.
        columns: Of the bronze table. Where a row has a time of day it is `event_time` or
            `bar_start`, and `trade_date` follows from it; else the SQL gives `trade_date`.
        silver: Names of the silver tables that its rows belong to. Where both a table by date and
            one by year are named, bars of interval `1d` belong to the latter.
    """

    name: str
    columns: tuple[Column, ...]
    silver: tuple[str, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """Of a bronze object."""
        return schema_of(self.columns)


@dataclass(frozen=True)
class FormatSpec:
    """A message format.

    Attributes:
        name: As feeds name it in the settings.
        grain: What a bronze row of it is.
        message: What a message is, as docs/adding_a_feed.md says it.
        row: What a bronze row is, as the UI says it.
        document: Whether one message may hold many rows: these share an offset.
        names_source: Whether a message may name its source, whoever the feed's is.
        csv_columns: Columns that a CSV file of such messages must have; empty where a file holds
            whole documents.
        csv_text: Columns of such a file that stay text although they may look like numbers.
    """

    name: str
    grain: Grain
    message: str
    row: str
    document: bool = False
    names_source: bool = False
    csv_columns: tuple[str, ...] = ()
    csv_text: frozenset[str] = frozenset()

    @property
    def schema(self) -> pa.Schema:
        """Of a bronze object."""
        return self.grain.schema

    @property
    def sql(self) -> str:
        """Name of the file in `lib/sql` that decodes a batch: typed rows and rejects by offset."""
        return f"decode_{self.name}"
