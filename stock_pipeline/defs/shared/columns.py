"""The columns of a table as the UI shows them."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from stock_pipeline.lib.columns import Column


def table_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """Columns with their types, what they mean and what must hold of them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type),
                description=column.meaning,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, other=_must(column)
                ),
            )
            for column in columns
        ]
    )


def _must(column: Column) -> list[str]:
    """What must hold of a column's values, in words."""
    bounds = [column.bounds.must] if column.bounds else []
    return [*bounds, *(f"at most {name}" for name in column.at_most)]
