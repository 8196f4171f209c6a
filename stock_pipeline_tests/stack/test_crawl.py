import json

import pytest

from stock_pipeline.stack.crawl import CrawlOptions, excluded, group, merge_columns

OPTIONS = CrawlOptions("bronze_", 3)


def crawl(keys, prefix="bronze/stock-data/", target=None, options=OPTIONS):
    return group("lake", prefix, [(key, "etag") for key in keys], target or {}, options)


def test_a_folder_becomes_a_table_and_its_folders_partitions():
    (table,) = crawl(
        [
            "bronze/stock-data/arrival_date=2026-11-20/a.parquet",
            "bronze/stock-data/arrival_date=2026-11-21/b.parquet",
        ]
    )
    assert table.table == "bronze_stock_data"
    assert table.location == "s3://lake/bronze/stock-data/"
    assert table.partition_keys == (("arrival_date", "string"),)
    assert table.partitions == {("2026-11-20",), ("2026-11-21",)}


def test_the_table_level_divides_a_target_into_tables():
    tables = crawl(["bronze/a/d=1/x.parquet", "bronze/b/d=1/x.parquet"], prefix="bronze/")
    assert [table.table for table in tables] == ["bronze_a", "bronze_b"]


def test_without_a_table_level_the_target_is_the_table():
    (table,) = crawl(["a/b/c/d=1/x.parquet"], prefix="a/b/c/", options=CrawlOptions("", None))
    assert (table.table, table.partitions) == ("c", {("1",)})


def test_excluded_objects_are_not_seen():
    target = {"Exclusions": ["_offset_log/**", "_rejected/**"]}
    options = CrawlOptions("", 2)
    keys = ["_offset_log/f/plan/1.json", "_rejected/x/y.parquet", "gold/d=1/x.parquet"]
    (table,) = crawl(keys, prefix="", target=target, options=options)
    assert table.table == "gold"


@pytest.mark.parametrize(
    ("path", "pattern", "matches"),
    [
        ("_offset_log/f/plan/1.json", "_offset_log/**", True),
        ("a/_offset_log/1.json", "_offset_log/**", False),
        ("a/b.csv", "*.csv", False),
        ("a/b.csv", "**/*.csv", True),
        ("b.csv", "**/*.csv", True),
        ("b.csv", "*.csv", True),
    ],
)
def test_patterns_are_glues(path, pattern, matches):
    assert excluded(path, [pattern]) is matches


def test_only_a_sample_of_each_folder_is_read():
    keys = [f"bronze/a/d={d}/{n}.parquet" for d in range(2) for n in range(5)]
    (table,) = crawl(keys, prefix="bronze/a/", target={"SampleSize": 2})
    assert [key for key, _ in table.samples] == [
        "bronze/a/d=0/3.parquet",
        "bronze/a/d=0/4.parquet",
        "bronze/a/d=1/3.parquet",
        "bronze/a/d=1/4.parquet",
    ]


def test_an_empty_target_has_no_table():
    assert crawl([]) == []


def test_compatible_types_widen_and_new_columns_are_added():
    merged = merge_columns(
        [(("a", "int"), ("b", "float")), (("b", "double"), ("a", "bigint"), ("c", "date"))]
    )
    assert merged == (("a", "bigint"), ("b", "double"), ("c", "date"))


def test_incompatible_types_are_an_error_that_names_the_column():
    with pytest.raises(ValueError, match="column a is string in one file and int in another"):
        merge_columns([(("a", "string"),), (("a", "int"),)])


def test_the_options_come_from_the_crawlers_definition():
    configuration = json.dumps({"Grouping": {"TableLevelConfiguration": 3}})
    crawler = {"TablePrefix": "gold_", "Configuration": configuration}
    assert CrawlOptions.of(crawler) == CrawlOptions("gold_", 3)
    assert CrawlOptions.of({"Configuration": ""}) == CrawlOptions("", None)
