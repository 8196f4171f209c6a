"""The register of silver and gold tables."""

from __future__ import annotations

import pytest

from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.lib.sql_files import text_of
from stock_pipeline.tables.definitions import SETTINGS
from stock_pipeline_tests.support.table_page import PAGE, page

ANY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


def test_the_docs_show_every_table_and_column():
    assert PAGE.read_text("utf-8") == page(), "python -m stock_pipeline_tests.support.table_page"


@ANY_TABLE
def test_what_a_table_reads_stands_before_it(table):
    order = list(TABLES.values())
    assert all(order.index(read.table) < order.index(table) for read in table.reads)


@ANY_TABLE
def test_gold_is_partitioned_as_the_first_table_that_it_reads(table):
    if table.layer == "gold":
        assert table.reads[0].table.partition_column == table.partition_column
    else:
        assert any(table.name in spec.grain.silver for spec in FORMATS.values())


@ANY_TABLE
def test_a_table_has_sql_and_depends_on_settings_that_there_are(table):
    assert text_of(table.name)
    assert set(table.settings) <= SETTINGS.keys()


@ANY_TABLE
def test_what_is_said_of_a_tables_columns_names_columns(table):
    names = set(table.schema.names)
    said = {*table.key, *table.lineage}
    if table.chart:
        said |= {table.chart.time, table.chart.value, *table.chart.series}
    for column in table.columns:
        said |= {*column.at_most}
    assert said <= names
    assert table.partition_column not in names
    for origins in table.lineage.values():
        for origin, column in origins:
            assert column in origin.schema.names


@ANY_TABLE
def test_every_column_has_a_meaning_that_ends_as_a_sentence(table):
    assert all(column.meaning.endswith(".") for column in table.columns)


def test_a_name_means_one_type_in_all_tables():
    columns: dict[str, set[str]] = {}
    for owner in (*TABLES.values(), *(spec.grain for spec in FORMATS.values())):
        for column in owner.columns:
            columns.setdefault(column.name, set()).add(column.type)
    different = {name: sorted(types) for name, types in columns.items() if len(types) > 1}
    # Of a window at most 500 sessions, of a day any number of trades.
    assert different == {"observations": ["int32", "int64"]}
