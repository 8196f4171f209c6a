"""The refresh run and the sensor that requests it, on a real instance and store."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta

import dagster as dg
import pytest

from stock_pipeline.defs.resources import LakeResource
from stock_pipeline.defs.tables.definitions import definitions
from stock_pipeline.defs.tables.empty import MOST_EVENTS, NO_ROWS
from stock_pipeline.defs.tables.partitions import listed_partitions
from stock_pipeline.defs.tables.refresh import LISTED, REFRESH_KEY, REFRESH_TAG, refresh_asset
from stock_pipeline.defs.tables.sensor import MOST_BACKOFF_SECONDS, seconds_to_wait
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import system_clock
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.decided import daily, decide, trade
from stock_pipeline_tests.support.location import location

T0 = datetime(2024, 6, 3, 10, 0)
DAY = "2024-06-03"
FEEDS = {
    "trades": {"format": "trade", "source": "trades", "calendar": "24/7"},
    "daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"},
}


@pytest.fixture
def settings(settings_for, ministack_endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    return settings_for(
        FEEDS,
        refresh={"min_interval_seconds": 1},
        partitions={"intraday_since": "2024-05-20", "daily_since": 2010},
    )


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def my_lake(settings):
    return Lake(settings.aws)


@pytest.fixture
def tick(settings, instance):
    """`tick(seconds_later)`: what the sensor of one code location decides then."""
    later = [0.0]
    defs = dg.Definitions.merge(
        definitions(settings, lambda: system_clock() + timedelta(seconds=later[0])),
        dg.Definitions(resources=location().resources, executor=dg.in_process_executor),
    )
    (sensor,) = defs.sensors
    resources = location().resources

    def evaluate(seconds_later=0.0, cursor=None, **other):
        later[0] = seconds_later
        with dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            repository_def=defs.get_repository_def(),
            sensor_name=sensor.name,
            resources=resources | other,
        ) as context:
            return sensor.evaluate_tick(context)

    return evaluate


def requested(tick, seconds_later=0.0):
    """How many runs the sensor requests so many seconds from now."""
    return len(tick(seconds_later).run_requests or [])


def ended(instance):
    """When the last refresh ended, by the clock that the pauses count from."""
    tagged = dg.RunsFilter(tags={REFRESH_TAG: "true"})
    return instance.get_run_records(tagged, limit=1)[0].end_time


def fill(my_lake):
    decide(my_lake, "trades", "trade", 0, [trade(T0, 10), trade(T0 + timedelta(minutes=1), 11)])
    decide(my_lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 5.0)])


def test_a_refresh_is_requested_while_something_is_due_and_not_after(
    tick, settings, instance, my_lake
):
    assert requested(tick) == 0
    fill(my_lake)
    assert requested(tick) == 1
    assert location().refresh(instance=instance).success
    assert requested(tick, 1.1) == 0
    assert tick(1.1).skip_message == "No silver or gold partition is due."


def test_a_refresh_reports_each_partition_and_its_checks(settings, instance, my_lake):
    fill(my_lake)
    assert location().refresh(instance=instance).success
    key = dg.AssetKey(["silver", "bars_intraday"])
    (record,) = instance.fetch_materializations(key, limit=5).records
    assert record.partition_key == DAY
    metadata = record.asset_materialization.metadata
    assert metadata["dagster/partition_row_count"].value == 2
    assert "data:image/svg+xml" in metadata["chart"].value
    years = instance.get_materialized_partitions(dg.AssetKey(["gold", "volatility_daily"]))
    assert years == {"2023", "2024"}
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "publishable"), limit=5
    )
    assert [c.status.value for c in checks] == ["SUCCEEDED"]


def test_a_refused_partition_turns_its_check_red_and_stops_nothing(
    tick, settings, instance, my_lake
):
    fill(my_lake)
    decide(my_lake, "trades", "trade", 1, [trade(T0 + timedelta(days=1), float("inf"))])
    assert location().refresh(instance=instance).success
    assert my_lake.head(key_of(BARS_INTRADAY_TABLE, DAY))
    assert not my_lake.head(key_of(BARS_INTRADAY_TABLE, "2024-06-04"))
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["silver", "bars_intraday"]), "publishable"), limit=5
    )
    red = [c.event.dagster_event.event_specific_data for c in checks if c.status.value == "FAILED"]
    assert [e.partition for e in red] == ["2024-06-04"]
    assert "finite" in red[0].description
    assert requested(tick, 1.1) == 0


def test_one_failing_partition_does_not_stop_the_others_and_the_run_fails(
    tick, settings, instance, my_lake
):
    fill(my_lake)
    broken = decide(my_lake, "trades", "trade", 1, [trade(T0 + timedelta(days=1), 12)])
    my_lake.delete(broken.decision.object_key)
    result = location().refresh(instance=instance, raise_on_error=False)
    assert not result.success
    assert my_lake.head(key_of(BARS_INTRADAY_TABLE, DAY))
    # After a failure there is a pause, then it is asked for again.
    end = ended(instance)
    assert seconds_to_wait(instance, settings.refresh, end) > 0
    assert seconds_to_wait(instance, settings.refresh, end + 2.1) == 0
    assert requested(tick) == 0
    assert requested(tick, 2.1) == 1


def test_pauses_after_failures_grow_and_end(settings, instance, my_lake):
    broken = decide(my_lake, "trades", "trade", 0, [trade(T0, 12)])
    my_lake.delete(broken.decision.object_key)
    for failures in range(1, 4):
        assert not location().refresh(instance=instance, raise_on_error=False).success
        wait = seconds_to_wait(instance, settings.refresh, ended(instance))
        assert wait == pytest.approx(2.0**failures)
    longest = MOST_BACKOFF_SECONDS
    assert seconds_to_wait(instance, settings.refresh, time.time() + longest) == 0


@pytest.mark.parametrize("tags", [{REFRESH_TAG: "true"}, {}])
def test_nothing_is_requested_while_a_refresh_is_under_way(tick, settings, instance, my_lake, tags):
    """Also one that a person started: it has no tag."""
    fill(my_lake)
    assert requested(tick) == 1
    defs = dg.Definitions(
        [refresh_asset(settings, listed_partitions(settings))], resources=location().resources
    )
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={REFRESH_KEY})
    run = instance.create_run_for_job(job, tags=tags, asset_selection=frozenset({REFRESH_KEY}))
    assert run.status is dg.DagsterRunStatus.NOT_STARTED
    assert (seconds_to_wait(instance, settings.refresh, time.time()) > 0) == bool(tags)
    assert requested(tick) == 0
    assert tick().skip_message == "A refresh is under way."


def test_the_sensor_of_the_code_server_requests_one_run_for_many_partitions(
    tick, instance, my_lake
):
    fill(my_lake)
    decide(my_lake, "trades", "trade", 1, [trade(T0 - timedelta(days=9), 12)])
    (request,) = tick().run_requests
    assert request.tags[REFRESH_TAG] == "true"
    assert request.job_name == "roll_up"
    assert request.asset_selection == [REFRESH_KEY]


def test_a_store_that_cannot_be_read_requests_nothing(tick, settings, my_lake):
    fill(my_lake)
    gone = LakeResource(bucket="no-such-bucket", s3=location().resources["s3"])
    told = tick(lake=gone)
    assert not told.run_requests
    assert "nothing is lost" in told.skip_message
    assert told.cursor is None
    assert requested(tick) == 1


def test_what_has_no_data_is_told_as_made_with_no_row_once(tick, settings, instance, my_lake):
    silver, gold = dg.AssetKey(["silver", "bars_daily"]), dg.AssetKey(["gold", "volatility_daily"])
    told = tick()
    assert {e.asset_key for e in told.asset_events} == {
        dg.AssetKey([layer, feed]) for layer in ("bronze", "quarantine") for feed in FEEDS
    }
    fill(my_lake)
    assert refreshed_years(settings, instance) == {"2023", "2024"}
    for event in told.asset_events:
        instance.report_runless_asset_event(event)
    cursor = told.cursor
    years, days = set(), 0
    while True:
        told = tick(60.0, cursor=cursor)
        assert len(told.asset_events) <= MOST_EVENTS
        years |= {e.partition for e in told.asset_events if e.asset_key == silver}
        days += sum(e.asset_key.path[-1] == "bars_intraday" for e in told.asset_events)
        assert all(e.metadata["note"].value == NO_ROWS for e in told.asset_events)
        for event in told.asset_events:
            instance.report_runless_asset_event(event)
        if told.cursor != cursor:
            break
    # From where the list begins to the newest that has data: then a table must grow stale.
    assert years == {str(year) for year in range(2010, 2023)}
    assert days == 14
    assert instance.get_materialized_partitions(gold) == {str(y) for y in range(2010, 2025)}
    assert tick(60.0, cursor=told.cursor).asset_events == []
    # Of a lost cursor nothing is told twice.
    assert tick(60.0).asset_events == []


def refreshed_years(settings, instance):
    assert location().refresh(instance=instance).success
    return instance.get_materialized_partitions(dg.AssetKey(["gold", "volatility_daily"]))


def test_data_before_the_list_of_partitions_is_made_and_told(settings, instance, my_lake):
    fill(my_lake)
    decide(my_lake, "daily", "index_daily", 1, [daily(date(1987, 10, 19), 5.0)])
    result = location().refresh(instance=instance)
    assert result.success
    (check,) = [e for e in result.get_asset_check_evaluations() if e.check_name == LISTED]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "1 partition of silver.bars_daily from 1987 on, before partitions.daily_since: 2010" in (
        check.description
    )
    assert "1987" in instance.get_materialized_partitions(dg.AssetKey(["silver", "bars_daily"]))


def test_runs_are_pruned_except_the_last_of_each_partition(settings, instance, my_lake):
    from stock_pipeline.defs.maintenance.jobs import prune

    fill(my_lake)
    first = location().refresh(instance=instance, raise_on_error=False).run_id
    decide(my_lake, "trades", "trade", 1, [trade(T0, 12)])
    second = location().refresh(instance=instance, raise_on_error=False).run_id
    decide(my_lake, "trades", "trade", 2, [trade(T0, 13)])
    third = location().refresh(instance=instance, raise_on_error=False).run_id
    deleted, kept = prune(instance, time.time() + 60, 60)
    # The first made the year 2023, the second only what the third made again.
    assert {r.run_id for r in instance.get_runs()} == {first, third}
    assert (deleted, kept) == (1, 2)
    assert not instance.has_run(second)
