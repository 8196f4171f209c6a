"""Silver and gold as ordinary assets: materialized by hand, partition by partition."""

from __future__ import annotations

import base64
from datetime import date, datetime, timedelta

import dagster as dg
import pytest

from stock_pipeline.defs.shared.keys import asset_key
from stock_pipeline.defs.shared.pictures import MOST_POINTS, svg_uri
from stock_pipeline.defs.tables.empty import NO_ROWS
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    TABLES,
    VOLATILITY_DAILY_TABLE,
)
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.decided import daily, decide, trade
from stock_pipeline_tests.support.location import location

DAILY = {t.name for t in TABLES.values() if t.partition_column == "trade_date"}
T0 = datetime(2024, 6, 3, 10, 0)
FEEDS = {
    "trades": {"format": "trade", "source": "trades", "calendar": "24/7"},
    "daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"},
}


@pytest.fixture
def my_lake(settings_for, ministack_endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    return Lake(settings_for(FEEDS).aws)


def test_years_are_materialized_in_one_run_with_metadata_for_each(my_lake):
    bars_daily = location().table(BARS_DAILY_TABLE)
    volatility_daily = location().table(VOLATILITY_DAILY_TABLE)
    days = [date(2020, 11, 1) + timedelta(days=i) for i in range(100)]
    decide(my_lake, "daily", "index_daily", 0, [daily(d, 100 + i % 7) for i, d in enumerate(days)])
    with dg.DagsterInstance.ephemeral() as instance:
        result = location().materialize(
            [bars_daily, volatility_daily],
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": "2020",
                "dagster/asset_partition_range_end": "2021",
            },
        )
        assert result.success
        records = instance.fetch_materializations(bars_daily.key, limit=5).records
        counts = {
            r.partition_key: r.asset_materialization.metadata["dagster/partition_row_count"].value
            for r in records
        }
        assert counts == {"2020": 61, "2021": 39}
        checks = result.get_asset_check_evaluations()
        assert {c.check_name for c in checks} == {
            "publishable",
            "sessions_complete",
            "days_agree_with_trades",
            "prices_plausible",
            "times_plausible",
            "sources_agree",
        }
        assert all(c.passed for c in checks)


def test_a_gap_between_sessions_warns_and_is_published(my_lake):
    bars_daily = location().table(BARS_DAILY_TABLE)
    decide(my_lake, "daily", "index_daily", 0, [daily(date(2020, 1, d), 5.0) for d in (2, 3, 6)])
    result = location().materialize([bars_daily], partition_key="2020")
    assert result.success
    (gaps,) = [
        c for c in result.get_asset_check_evaluations() if c.check_name == "sessions_complete"
    ]
    assert not gaps.passed
    assert gaps.severity is dg.AssetCheckSeverity.WARN
    assert my_lake.head(key_of(BARS_DAILY_TABLE, "2020"))


def test_a_refused_partition_fails_its_run_with_a_red_check(my_lake):
    bars_intraday = location().table(BARS_INTRADAY_TABLE)
    decide(my_lake, "trades", "trade", 0, [trade(T0, float("inf"))])
    result = location().materialize(
        [bars_intraday], partition_key="2024-06-03", raise_on_error=False
    )
    assert not result.success
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks["publishable"] is False
    assert not result.get_asset_materialization_events()
    assert not my_lake.head(key_of(BARS_INTRADAY_TABLE, "2024-06-03"))


def test_a_chart_stays_small_and_inside_its_picture():
    uri = svg_uri([float(i) for i in range(10_000)])
    svg = base64.b64decode(uri.split(",", 1)[1]).decode()
    points = svg.split('points="')[1].split('"')[0].split()
    assert len(points) <= MOST_POINTS
    assert len(uri) < 2000
    assert all(0 <= int(x) <= 480 and 0 <= int(y) <= 120 for x, y in (p.split(",") for p in points))


def test_a_partition_without_data_is_materialized_empty_and_says_so(my_lake):
    """A person clicks on a gold partition without silver, and on silver without bronze."""
    for table, partition in (
        (BARS_INTRADAY_TABLE, "2024-06-03"),
        (BARS_DAILY_TABLE, "2020"),
        (VOLATILITY_DAILY_TABLE, "2020"),
    ):
        with dg.DagsterInstance.ephemeral() as instance:
            result = location().materialize(
                [location().table(table)], partition_key=partition, instance=instance
            )
            assert result.success
            (record,) = instance.fetch_materializations(asset_key(table), limit=5).records
        metadata = record.asset_materialization.metadata
        assert metadata["dagster/partition_row_count"].value == 0
        assert metadata["note"].value == NO_ROWS
        assert all(check.passed for check in result.get_asset_check_evaluations())
        assert not my_lake.head(key_of(table, partition))


def test_a_whole_layer_without_data_is_materialized_in_one_run_each(my_lake):
    tables = [location().table(table) for table in TABLES.values()]
    yearly = [asset for asset in tables if asset.key.path[-1] not in DAILY]
    result = location().materialize(
        yearly,
        tags={
            "dagster/asset_partition_range_start": "1960",
            "dagster/asset_partition_range_end": "1962",
        },
    )
    assert result.success
    assert len(result.get_asset_materialization_events()) == 3 * len(yearly)
    assert not list(my_lake.list("gold/"))
