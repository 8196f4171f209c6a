import datetime

import pyarrow as pa
import pytest

from stock_pipeline.catalogue.crawlers import CatalogueError
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats.arrow import TRADES
from stock_pipeline.lib.schemas import VOLATILITY_DAILY_TABLE
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import parquet
from stock_pipeline_tests.support.small_lake import DAY, put_batch, put_silver_and_gold

FEEDS = {"live-feed": {"format": "trade", "source": "trades", "calendar": "24/7"}}


@pytest.fixture
def catalogue(stack, settings_for):
    """Catalogue of a lake with every layer; the crawler double runs."""

    def make(**sections):
        settings = settings_for(FEEDS, **sections)
        lake = Lake(settings.aws)
        put_batch(lake, "live-feed", 0, DAY)
        put_silver_and_gold(settings, lake)
        lake.put(layout.plan_key("live-feed", 0), b"{}")
        lake.put("_rejected/gold/volatility_daily/2026/r.parquet", b"no table")
        return Catalogue(settings, lake)

    return make


@pytest.mark.parametrize("method", ["crawler", "partitions"])
def test_the_catalogue_becomes_the_lake(catalogue, method):
    glue = catalogue(catalog={"method": method, "timeout_seconds": 60})

    synced = glue.sync()

    assert synced.left == ()
    assert synced.tables == 10
    assert synced.crawled == (
        ("bronze", "quarantine", "silver", "gold") if method == "crawler" else ()
    )
    assert glue.differences() == {}
    shapes = glue.shapes()
    assert sorted(shapes) == [
        "bronze_live_feed",
        "gold_daily_average_price",
        "gold_sentiment_daily",
        "gold_volatility_daily",
        "gold_volatility_intraday",
        "quarantine_live_feed",
        "silver_bars_daily",
        "silver_bars_intraday",
        "silver_corporate_actions",
        "silver_news",
    ]
    trades = shapes["bronze_live_feed"]
    assert dict(trades.columns)["event_time"] == "timestamp"
    assert trades.partition_keys == (("arrival_date", "string"),)
    assert trades.partitions == {(DAY.isoformat(),)}
    assert shapes["gold_volatility_daily"].partitions == {("2025",), ("2026",)}


def test_a_new_object_in_a_known_partition_starts_nothing(catalogue):
    glue = catalogue(catalog={"method": "partitions"})
    glue.sync()
    put_batch(glue.lake, "live-feed", 1, DAY)

    assert glue.new() == {}
    assert glue.sync().found == ()


def test_a_new_partition_and_a_new_column_are_found_and_mended(catalogue):
    glue = catalogue(catalog={"timeout_seconds": 60})
    glue.sync()
    day = DAY + datetime.timedelta(days=1)
    wider = pa.schema([*TRADES, pa.field("note", pa.string())]).empty_table()
    glue.lake.put(layout.bronze_key("live-feed", 7, day), parquet(wider, MadeFrom()))

    assert list(glue.new()) == ["bronze_live_feed"]
    synced = glue.sync()

    assert synced.crawled == ("bronze",)
    assert len(synced.found) == 2
    assert synced.left == ()
    assert ("note", "string") in glue.shapes()["bronze_live_feed"].columns


def test_a_partition_that_left_the_lake_is_dropped(catalogue):
    glue = catalogue(catalog={"method": "partitions"})
    glue.sync()
    glue.lake.delete(layout.table_object_key("gold", VOLATILITY_DAILY_TABLE.name, "year", "2025"))

    assert glue.sync().dropped == 1
    assert glue.shapes()["gold_volatility_daily"].partitions == {("2026",)}


def test_registering_again_changes_nothing(catalogue):
    glue = catalogue(catalog={"method": "partitions"})
    glue.sync()
    before = glue.shapes()
    shape = before["gold_volatility_daily"]

    glue.add_partitions(shape, "s3://x/", sorted(shape.partitions))

    assert glue.shapes() == before


def test_many_partitions_are_registered_in_calls_of_a_hundred(catalogue):
    glue = catalogue(catalog={"method": "partitions"})
    glue.sync()
    shape = glue.shapes()["gold_volatility_daily"]

    glue.add_partitions(shape, "s3://x/", [(f"{year}",) for year in range(1700, 1950)])

    assert len(glue.shapes()["gold_volatility_daily"].partitions) == 252


def test_a_running_crawler_is_waited_for_and_started_again(catalogue):
    glue = catalogue(catalog={"timeout_seconds": 60})
    glue.ensure()
    glue.client.start_crawler(Name="stock_pipeline_gold")

    glue.crawlers.crawl(["gold"])

    crawler = glue.client.get_crawler(Name="stock_pipeline_gold")["Crawler"]
    assert crawler["State"] == "READY"
    assert crawler["LastCrawl"]["Status"] == "SUCCEEDED"


def test_a_crawl_that_takes_too_long_is_an_error_that_names_the_setting(catalogue):
    glue = catalogue(catalog={"timeout_seconds": 0.5})

    with pytest.raises(CatalogueError, match=r"within 0\.5 s.*catalog\.timeout_seconds"):
        glue.sync()


def test_a_crawler_that_nobody_made_is_an_error(catalogue):
    glue = catalogue()

    with pytest.raises(CatalogueError, match="There is no crawler stock_pipeline_nothing"):
        glue.crawlers.crawl(["nothing"])
