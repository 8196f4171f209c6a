"""What is known of a silver or gold table; each has a module of its own in this folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pyarrow as pa

from stock_pipeline.lib.columns import Column, schema_of
from stock_pipeline.lib.formats.spec import Grain

#: What a partition is named by: an ISO date or four digits.
PartitionColumn = Literal["trade_date", "year"]


@dataclass(frozen=True, eq=False)
class Read:
    """A table that another one is made from.

    Attributes:
        parameter: Its name in the SQL file.
        table: The table.
        years_before: How many earlier partitions are read besides the same one.
        days_of: Column of dates in the first table that is read: of a table by date, a partition by
            year reads only these days. Empty to read all of the year.
    """

    parameter: str
    table: TableSpec
    years_before: int = 0
    days_of: str = ""


@dataclass(frozen=True)
class Chart:
    """The line that the UI draws of a partition's first symbol.

    Attributes:
        time: Column of the x axis.
        value: Column of the y axis.
        series: Columns of which the line keeps to the first value.
    """

    time: str
    value: str
    series: tuple[str, ...] = ()


#: Where a column comes from: a table or the bronze rows of a grain, and the column there.
Origin = tuple["TableSpec | Grain", str]


@dataclass(frozen=True, eq=False)
class TableSpec:
    """A silver or gold table: one object a partition.

    Attributes:
        layer: `silver` or `gold`.
        name: Unique in both layers; also the name of its SQL file, and of its Glue table behind the
            layer.
        columns: Of the file, without the partition column.
        partition_column: Folder column; `trade_date` holds an ISO date, `year` four digits.
        key: Columns that identify a row within a partition; also the sort order.
        description: Grain, source and consumer, as the UI shows it.
        reads: Tables that it is made from. A partition exists only where the first one has it; the
            others may lack theirs.
        settings: Names of the settings that its rows depend on, see `tables/definitions.py`: when
            one changes, every partition is due.
        lineage: By column, the columns that it is computed from.
        chart: What the UI draws of a partition; None for no chart.
        checks: Names of the checks that warn, see `defs/tables/events.py`. What must hold of the
            columns blocks, and is not named here.
        days: Whether the (symbol, trade_date) of its rows must be exactly those of the first table
            that it reads, or some of them; None where rows are not days.
        landed: Whether landed history of this length belongs to it.
        every_session: Whether each session brings rows: nothing new for days then means that it
            stands still.
        carries_state: Whether a partition goes on from the EWMA state of the one before.
    """

    layer: Literal["silver", "gold"]
    name: str
    columns: tuple[Column, ...]
    partition_column: PartitionColumn
    key: tuple[str, ...]
    description: str
    reads: tuple[Read, ...] = ()
    settings: tuple[str, ...] = ()
    lineage: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    chart: Chart | None = None
    checks: tuple[str, ...] = ()
    days: Literal["exactly", "some"] | None = None
    landed: Literal["daily", "intraday"] | None = None
    every_session: bool = True
    carries_state: bool = False

    @cached_property
    def schema(self) -> pa.Schema:
        """Of its objects."""
        return schema_of(self.columns)
