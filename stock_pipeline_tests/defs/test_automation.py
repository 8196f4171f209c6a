"""The refresh run and the condition that asks for it, on a real instance and store."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.decided import daily, decide, trade

T0 = datetime(2024, 6, 3, 10, 0)
DAY = "2024-06-03"
FEEDS = {
    "trades": {"format": "trade", "source": "trades", "calendar": "24/7"},
    "daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"},
}


@pytest.fixture
def automation(settings_for, ministack_endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    settings_for(FEEDS, refresh={"min_interval_seconds": 1})
    from stock_pipeline.defs.tables import refresh as automation

    automation._index.cache_clear()
    yield automation
    automation._index.cache_clear()


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def my_lake(automation):
    return Lake(automation.get_settings().aws)


def definitions(automation):
    return dg.Definitions(assets=[automation.refresh], executor=dg.in_process_executor)


def requested(automation, instance, cursor=None):
    result = dg.evaluate_automation_conditions(
        definitions(automation), instance=instance, cursor=cursor
    )
    return result.total_requested, result.cursor


def run_refresh(automation, instance):
    job = definitions(automation).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, raise_on_error=False, tags={automation.REFRESH_TAG: "true"}
    )


def ended(automation, instance):
    """When the last refresh ended, by the clock that the pauses count from."""
    tagged = dg.RunsFilter(tags={automation.REFRESH_TAG: "true"})
    return instance.get_run_records(tagged, limit=1)[0].end_time


def fill(my_lake):
    decide(my_lake, "trades", "trade", 0, [trade(T0, 10), trade(T0 + timedelta(minutes=1), 11)])
    decide(my_lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 5.0)])


def test_a_refresh_is_requested_while_something_is_due_and_not_after(automation, instance, my_lake):
    assert requested(automation, instance)[0] == 0
    fill(my_lake)
    count, cursor = requested(automation, instance)
    assert count == 1
    assert run_refresh(automation, instance).success
    time.sleep(1.1)
    assert requested(automation, instance, cursor)[0] == 0


def test_a_refresh_reports_each_partition_and_its_checks(automation, instance, my_lake):
    fill(my_lake)
    assert run_refresh(automation, instance).success
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


def test_a_refused_partition_turns_its_check_red_and_stops_nothing(automation, instance, my_lake):
    fill(my_lake)
    decide(my_lake, "trades", "trade", 1, [trade(T0 + timedelta(days=1), float("inf"))])
    assert run_refresh(automation, instance).success
    assert my_lake.head(key_of(BARS_INTRADAY_TABLE, DAY))
    assert not my_lake.head(key_of(BARS_INTRADAY_TABLE, "2024-06-04"))
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["silver", "bars_intraday"]), "publishable"), limit=5
    )
    red = [c.event.dagster_event.event_specific_data for c in checks if c.status.value == "FAILED"]
    assert [e.partition for e in red] == ["2024-06-04"]
    assert "finite" in red[0].description
    time.sleep(1.1)
    assert requested(automation, instance)[0] == 0


def test_one_failing_partition_does_not_stop_the_others_and_the_run_fails(
    automation, instance, my_lake
):
    fill(my_lake)
    broken = decide(my_lake, "trades", "trade", 1, [trade(T0 + timedelta(days=1), 12)])
    my_lake.delete(broken.decision.object_key)
    result = run_refresh(automation, instance)
    assert not result.success
    assert my_lake.head(key_of(BARS_INTRADAY_TABLE, DAY))
    # After a failure there is a pause, then it is asked for again.
    end = ended(automation, instance)
    assert automation.seconds_to_wait(instance, end) > 0
    assert automation.seconds_to_wait(instance, end + 2.1) == 0


def test_pauses_after_failures_grow_and_end(automation, instance, my_lake):
    broken = decide(my_lake, "trades", "trade", 0, [trade(T0, 12)])
    my_lake.delete(broken.decision.object_key)
    for failures in range(1, 4):
        assert not run_refresh(automation, instance).success
        wait = automation.seconds_to_wait(instance, ended(automation, instance))
        assert wait == pytest.approx(2.0**failures)
    longest = automation.MOST_BACKOFF_SECONDS
    assert automation.seconds_to_wait(instance, time.time() + longest) == 0


def test_nothing_is_requested_while_a_refresh_is_under_way(automation, instance, my_lake):
    fill(my_lake)
    job = definitions(automation).resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(job, tags={automation.REFRESH_TAG: "true"})
    assert run.status is dg.DagsterRunStatus.NOT_STARTED
    assert automation.seconds_to_wait(instance, time.time()) > 0
    assert requested(automation, instance)[0] == 0


def test_the_sensor_of_the_code_server_requests_one_run(automation, instance, my_lake):
    fill(my_lake)
    defs = dg.Definitions(
        assets=[automation.refresh],
        sensors=[automation.refresh_sensor],
        executor=dg.in_process_executor,
    )
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=defs.get_repository_def(),
        sensor_name="refresh_due_tables",
    )
    tick = automation.refresh_sensor.evaluate_tick(context)
    (request,) = tick.run_requests
    assert request.tags[automation.REFRESH_TAG] == "true"
    assert request.asset_selection == [automation.REFRESH_KEY]
    # What the daemon stores of a tick must survive its serialisation.
    (evaluation,) = tick.automation_condition_evaluations
    assert "tables_due" in serialize_value(evaluation)


def test_a_store_that_cannot_be_read_requests_nothing(automation, instance, my_lake, monkeypatch):
    fill(my_lake)
    index = automation._index()
    gone = index.lake.aws.model_copy(update={"bucket": "no-such-bucket"})
    monkeypatch.setattr(index, "lake", Lake(gone))
    assert requested(automation, instance)[0] == 0


def test_runs_are_pruned_except_the_last_of_each_partition(automation, instance, my_lake):
    from stock_pipeline.defs.maintenance.jobs import prune

    fill(my_lake)
    first = run_refresh(automation, instance).run_id
    decide(my_lake, "trades", "trade", 1, [trade(T0, 12)])
    second = run_refresh(automation, instance).run_id
    decide(my_lake, "trades", "trade", 2, [trade(T0, 13)])
    third = run_refresh(automation, instance).run_id
    deleted, kept = prune(instance, time.time() + 60, 60)
    # The first made the year 2023, the second only what the third made again.
    assert {r.run_id for r in instance.get_runs()} == {first, third}
    assert (deleted, kept) == (1, 2)
    assert not instance.has_run(second)
