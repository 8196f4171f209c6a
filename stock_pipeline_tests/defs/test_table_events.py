"""What is told of a made partition, also when a check that only warns breaks."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest

from stock_pipeline.defs.tables.events import metadata_of
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.decided import daily, decide
from stock_pipeline_tests.support.location import location

FEEDS = {"daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"}}
KEY = dg.AssetKey(["silver", "bars_daily"])


@pytest.fixture
def my_lake(settings_for, ministack_endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    return Lake(settings_for(FEEDS).aws)


@pytest.mark.parametrize(
    ("function", "check"),
    [
        ("stock_pipeline.defs.tables.events.missing_sessions", "sessions_complete"),
        ("stock_pipeline.defs.tables.events.disagreements", "days_agree_with_trades"),
    ],
)
def test_a_warning_that_breaks_hides_no_published_partition(my_lake, monkeypatch, function, check):
    def broken(*_):
        raise ArithmeticError("no such thing")

    monkeypatch.setattr(function, broken)
    decide(my_lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 5.0)])
    with dg.DagsterInstance.ephemeral() as instance:
        result = location().refresh(instance=instance)
        assert result.success
        assert instance.get_materialized_partitions(KEY) == {"2023"}
    told = [e.event_type_value for e in result.all_events]
    assert told.index("ASSET_MATERIALIZATION") < told.index("ASSET_CHECK_EVALUATION")
    checks = {c.check_name: c for c in result.get_asset_check_evaluations() if c.asset_key == KEY}
    assert [name for name, c in checks.items() if not c.passed] == [check]
    assert checks[check].severity is dg.AssetCheckSeverity.WARN
    assert checks[check].description.startswith(
        "2023: the check broke (ArithmeticError: no such thing)."
    )


#: Arrow and Parquet keep it, Python's datetime ends before.
IN_YEAR_11476_US = 300_000_000_000_000_000


def test_a_value_that_cannot_be_shown_costs_a_picture_and_no_partition(my_lake):
    days = [daily(date(year, 5, day), 5.0) for year in (2022, 2023, 2024) for day in (2, 3)]
    days[2]["kafka_timestamp"] = IN_YEAR_11476_US
    decide(my_lake, "daily", "index_daily", 0, days)
    with dg.DagsterInstance.ephemeral() as instance:
        result = location().refresh(instance=instance)
        assert result.success
        records = instance.fetch_materializations(KEY, limit=9).records
        gold = instance.get_materialized_partitions(dg.AssetKey(["gold", "volatility_daily"]))
    shown = {r.partition_key: r.asset_materialization.metadata for r in records}
    assert set(shown) == {"2022", "2023", "2024"}
    assert gold >= {"2022", "2023", "2024"}
    assert shown["2023"]["preview"].value.startswith("The preview cannot be shown (")
    assert shown["2023"]["dagster/partition_row_count"].value == 2
    assert "data:image/svg+xml" in shown["2023"]["chart"].value
    for year in ("2022", "2024"):
        assert shown[year]["preview"].value.startswith("| symbol |")


def test_refused_rows_that_cannot_be_shown_stop_nothing(my_lake):
    refused = daily(date(2023, 5, 1), 0.0) | {"kafka_timestamp": IN_YEAR_11476_US}
    decide(my_lake, "daily", "index_daily", 0, [refused, daily(date(2024, 5, 1), 5.0)])
    with dg.DagsterInstance.ephemeral() as instance:
        result = location().refresh(instance=instance)
        assert result.success
        assert instance.get_materialized_partitions(KEY) == {"2024"}
    (red,) = [
        c
        for c in result.get_asset_check_evaluations()
        if c.check_name == "publishable" and not c.passed
    ]
    assert red.metadata["rows_prices_positive"].value.startswith("The rows cannot be shown (")


def test_a_partition_that_cannot_be_reported_does_not_stop_the_others(my_lake, monkeypatch):
    def broken(settings, built):
        if built.partition == "2023":
            raise ArithmeticError("no such thing")
        return metadata_of(settings, built)

    monkeypatch.setattr("stock_pipeline.defs.tables.refresh.metadata_of", broken)
    days = [daily(date(year, 5, 2), 5.0) for year in (2022, 2023, 2024)]
    decide(my_lake, "daily", "index_daily", 0, days)
    with dg.DagsterInstance.ephemeral() as instance:
        result = location().refresh(instance=instance, raise_on_error=False)
        assert instance.get_materialized_partitions(KEY) == {"2022", "2024"}
    assert all(my_lake.head(key_of(BARS_DAILY_TABLE, year)) for year in ("2022", "2023", "2024"))
    (failed,) = [e for e in result.all_events if e.is_step_failure]
    assert (
        "bars_daily 2023: no such thing" in failed.step_failure_data.user_failure_data.description
    )


def test_a_refused_year_is_not_compared_with_trades(my_lake):
    decide(my_lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 0.0)])
    result = location().refresh()
    assert result.success
    assert not my_lake.head(key_of(BARS_DAILY_TABLE, "2023"))
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks["publishable"] is False
    assert "days_agree_with_trades" not in checks
