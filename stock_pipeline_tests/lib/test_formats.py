"""The register of message formats."""

from __future__ import annotations

import re

import pytest

from stock_pipeline.lib.formats import FORMATS, formats_of
from stock_pipeline.lib.formats.records import KAFKA_COLUMNS
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.lib.sql_files import sql_text
from stock_pipeline.settings import project_root

ANY_FORMAT = pytest.mark.parametrize("spec", FORMATS.values(), ids=lambda spec: spec.name)


def test_the_docs_list_every_format_as_the_register_describes_it():
    page = (project_root() / "docs" / "adding_a_feed.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)) == {
        name: spec.message for name, spec in FORMATS.items()
    }


@ANY_FORMAT
def test_a_format_has_sql_and_tables_for_its_rows(spec):
    assert sql_text(spec.sql)
    tables = [TABLES[name] for name in spec.grain.silver]
    assert {table.layer for table in tables} == {"silver"}
    assert spec.name in formats_of(spec.grain)


@ANY_FORMAT
def test_a_bronze_row_says_where_it_came_from_and_to_which_date_it_belongs(spec):
    assert spec.grain.columns[-len(KAFKA_COLUMNS) :] == KAFKA_COLUMNS
    assert {"symbol", "trade_date"} <= set(spec.schema.names)
    assert all(column.meaning for column in spec.grain.columns)


@ANY_FORMAT
def test_a_file_of_rows_has_columns_and_a_file_of_documents_has_none(spec):
    assert bool(spec.csv_columns) is not spec.document
    assert not spec.csv_text or spec.csv_columns[0] in spec.csv_text
