import pyarrow as pa
import pytest

from stock_pipeline.catalogue.shapes import (
    TableShape,
    differences,
    glue_columns,
    glue_name,
    glue_type,
    missing,
    stale,
)
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE
from stock_pipeline.lib.schemas import TABLES


def shape(*partitions, columns=(("symbol", "string"),), key="trade_date", name="gold_v"):
    return TableShape(name, tuple(columns), ((key, "string"),), frozenset((p,) for p in partitions))


def of(*tables):
    return {table.name: table for table in tables}


def test_equal_tables_have_no_difference():
    table = shape("2026-01-02")
    assert differences([table], of(table)) == {}


def test_a_table_that_the_catalogue_lacks_is_named():
    assert differences([shape("2026-01-02")], {}) == {
        "gold_v": ["Table gold_v is in the lake and not in the catalogue."]
    }


def test_a_table_without_objects_needs_no_catalogue():
    assert differences([shape()], {}) == {}


def test_new_partitions_are_named_and_many_are_counted():
    days = [f"2026-01-{day:02d}" for day in range(1, 9)]
    (sentence,) = differences([shape(*days)], of(shape()))["gold_v"]
    assert sentence == (
        "Table gold_v lacks partitions 2026-01-01, 2026-01-02, 2026-01-03, 2026-01-04, "
        "2026-01-05 and 3 more in the catalogue."
    )


def test_partitions_that_left_the_lake_are_stale_and_not_missing():
    lake, catalogue = shape("2026-01-03"), shape("2026-01-02", "2026-01-03")
    assert missing([lake], of(catalogue)) == {}
    assert stale([lake], of(catalogue)) == {"gold_v": [("2026-01-02",)]}
    assert differences([lake], of(catalogue)) == {
        "gold_v": [
            (
                "Table gold_v has partition 2026-01-02 in the catalogue; "
                "the lake holds no object there."
            )
        ]
    }


def test_columns_are_compared_by_name_and_type_whatever_their_order():
    lake = shape(columns=[("a", "int"), ("b", "double"), ("c", "date")])
    same = shape(columns=[("c", "date"), ("a", "int"), ("b", "double")])
    other = shape(columns=[("a", "bigint"), ("b", "double"), ("d", "date")])
    assert differences([lake], of(same)) == {}
    assert differences([lake], of(other)) == {
        "gold_v": [
            "Table gold_v has the column a as bigint in the catalogue; the lake has int.",
            "Table gold_v lacks the column c (date) in the catalogue.",
            "Table gold_v has the column d in the catalogue; the lake has no such column.",
        ]
    }


def test_a_column_of_older_files_is_a_difference_and_nothing_to_crawl_for():
    lake, catalogue = shape(columns=[("a", "int")]), shape(columns=[("a", "int"), ("b", "int")])
    assert missing([lake], of(catalogue)) == {}
    assert len(differences([lake], of(catalogue))["gold_v"]) == 1


def test_another_partition_column_is_a_difference():
    assert len(differences([shape(key="year")], of(shape(key="trade_date")))["gold_v"]) == 2


def test_tables_of_others_are_left_alone():
    assert differences([shape("x")], of(shape("x"), shape("y", name="someone_elses"))) == {}


def test_names_are_those_that_a_crawler_gives():
    assert glue_name("bronze", "stock-data-stream") == "bronze_stock_data_stream"
    assert glue_name("silver", "Bars.Daily") == "silver_bars_daily"


@pytest.mark.parametrize(
    ("arrow", "glue"),
    [
        (pa.string(), "string"),
        (pa.timestamp("us"), "timestamp"),
        (pa.date32(), "date"),
        (pa.int32(), "int"),
        (pa.int64(), "bigint"),
        (pa.float64(), "double"),
        (pa.bool_(), "boolean"),
        (pa.binary(), "binary"),
        (pa.decimal128(18, 4), "decimal(18,4)"),
    ],
)
def test_an_arrow_type_has_one_glue_type(arrow, glue):
    assert glue_type(arrow) == glue


def test_every_table_of_the_lake_has_glue_types():
    specs = [table.schema for table in TABLES.values()]
    for schema in (*(f.schema for f in FORMATS.values()), QUARANTINE, *specs):
        assert len(glue_columns(schema)) == len(schema)


def test_a_type_without_a_glue_type_is_an_error():
    with pytest.raises(ValueError, match="has no Glue type"):
        glue_type(pa.list_(pa.int8()))
