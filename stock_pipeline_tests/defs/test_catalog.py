import dagster as dg
import pytest

from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.defs.catalog.assets import (
    ASK_AGAIN_SECONDS,
    CATALOG_KEY,
    MOST_GROWING_SECONDS,
    catalogue_asset,
    catalogue_sensor,
    decide,
)
from stock_pipeline.lake.store import Lake
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.small_lake import put_silver_and_gold

ONE, TWO = {"gold_a": ["A lacks x."]}, {"gold_a": ["A lacks x."], "gold_b": ["B lacks y."]}


def test_nothing_new_is_nothing_to_crawl_for():
    reason, cursor = decide("", {}, 0.0)
    assert reason == "The catalogue has every partition of the lake."
    assert cursor == ""


def test_a_difference_is_crawled_for_when_it_no_longer_grows():
    growing, cursor = decide("", ONE, 0.0)
    more, cursor = decide(cursor, TWO, 30.0)
    reason, _ = decide(cursor, TWO, 60.0)
    assert "still growing" in growing
    assert "still growing" in more
    assert reason is None


def test_a_lake_that_never_stops_growing_is_crawled_in_time():
    cursor, now = "", 0.0
    while True:
        reason, cursor = decide(cursor, {"t": [f"lacks {now}"]}, now)
        if reason is None:
            break
        now += 30.0
        assert now <= MOST_GROWING_SECONDS
    assert now == MOST_GROWING_SECONDS


def test_a_difference_that_a_crawl_left_is_not_crawled_for_at_once():
    _, cursor = decide("", ONE, 0.0)
    requested, cursor = decide(cursor, ONE, 30.0)
    again, cursor = decide(cursor, ONE, 60.0)
    later, _ = decide(cursor, ONE, 30.0 + ASK_AGAIN_SECONDS)
    assert requested is None
    assert "was requested 30 s ago" in again
    assert later is None


def test_a_new_difference_after_a_crawl_is_crawled_for():
    _, cursor = decide("", ONE, 0.0)
    _, cursor = decide(cursor, ONE, 30.0)
    growing, cursor = decide(cursor, TWO, 60.0)
    reason, _ = decide(cursor, TWO, 90.0)
    assert "still growing" in growing
    assert reason is None


@pytest.fixture
def settings(ministack_endpoint, settings_for):
    return settings_for(catalog={"method": "partitions"})


def tick(instance, cursor=None):
    here = location()
    return here.tick(catalogue_sensor(here.settings), instance, cursor)


def crawl(**options):
    here = location()
    return here.materialize([catalogue_asset(here.settings)], **options)


def test_the_sensor_asks_for_a_crawl_and_is_content_after_it(settings):
    put_silver_and_gold(settings, Lake(settings.aws))
    with dg.instance_for_test() as instance:
        first, cursor = tick(instance)
        second, cursor = tick(instance, cursor)
        assert "still growing" in first.skip_message
        assert isinstance(second, dg.RunRequest)

        result = crawl(instance=instance)

        assert result.success
        third, _ = tick(instance, cursor)
        assert third.skip_message == "The catalogue has every partition of the lake."
        materialized = instance.get_latest_materialization_event(CATALOG_KEY)
        metadata = materialized.asset_materialization.metadata
        assert metadata["tables"].value == 8
        assert metadata["partitions"].value == 11
        (check,) = result.get_asset_check_evaluations()
        assert check.passed


def test_an_unreachable_catalogue_is_a_sentence_and_keeps_the_cursor(settings, monkeypatch):
    def refuse(_):
        raise OSError("no route")

    monkeypatch.setattr(Catalogue, "new", refuse)
    with dg.instance_for_test() as instance:
        result, cursor = tick(instance, "{}")
    assert "does not answer (no route)" in result.skip_message
    assert cursor == "{}"


def test_a_second_crawl_starts_nothing(settings):
    put_silver_and_gold(settings, Lake(settings.aws))
    crawl()
    (event,) = crawl().asset_materializations_for_node("catalog__lake")
    assert event.metadata["how"].value == "nothing new: nothing was started"
