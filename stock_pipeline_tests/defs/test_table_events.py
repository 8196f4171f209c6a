"""What is told of a made partition, also when a check that only warns breaks."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest

from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.decided import daily, decide

FEEDS = {"daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"}}
KEY = dg.AssetKey(["silver", "bars_daily"])


@pytest.fixture
def my_lake(settings_for, ministack_endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    return Lake(settings_for(FEEDS).aws)


@pytest.mark.parametrize(
    ("function", "check"),
    [
        ("stock_pipeline.quality.completeness.missing_sessions", "sessions_complete"),
        ("stock_pipeline.quality.agreement.disagreements", "days_agree_with_trades"),
    ],
)
def test_a_warning_that_breaks_hides_no_published_partition(my_lake, monkeypatch, function, check):
    from stock_pipeline.defs.tables.refresh import refresh

    def broken(*_):
        raise ArithmeticError("no such thing")

    monkeypatch.setattr(function, broken)
    decide(my_lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 5.0)])
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([refresh], instance=instance)
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


def test_a_refused_year_is_not_compared_with_trades(my_lake):
    from stock_pipeline.defs.tables.refresh import refresh

    decide(my_lake, "daily", "index_daily", 0, [daily(date(2023, 5, 1), 0.0)])
    result = dg.materialize([refresh])
    assert result.success
    assert not my_lake.head(key_of(BARS_DAILY_TABLE, "2023"))
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks["publishable"] is False
    assert "days_agree_with_trades" not in checks
