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
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ]
    )
