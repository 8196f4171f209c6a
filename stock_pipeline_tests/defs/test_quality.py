"""The quality checks of silver as the UI shows them."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import dagster as dg
import pyarrow as pa
import pytest

from stock_pipeline.defs.tables.quality import MOST_FINDINGS, limits_of, quality_evaluations
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    VOLATILITY_DAILY_TABLE,
)
from stock_pipeline.quality.findings import Limits
from stock_pipeline.settings import load_settings
from stock_pipeline.settings.sections.quality import QualitySettings
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.decided import daily, decide
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.quality_bars import DAY, intraday, walk

KEY = dg.AssetKey(["silver", "bars_intraday"])


@pytest.fixture
def settings(tmp_path):
    return load_settings(env_file=tmp_path / "none", environment={})


def evaluated(settings, bars: pa.Table) -> dict[str, dg.AssetCheckEvaluation]:
    found = quality_evaluations(settings, BARS_INTRADAY_TABLE, KEY, DAY.isoformat(), bars)
    assert all(e.severity is dg.AssetCheckSeverity.WARN and not e.blocking for e in found)
    return {e.check_name: e for e in found}


def test_a_clean_partition_is_green_in_every_check(settings):
    checks = evaluated(settings, intraday(walk(390, sigma=0.0005)))
    assert set(checks) == {"prices_plausible", "times_plausible", "sources_agree"}
    assert all(e.passed for e in checks.values())
    assert checks["prices_plausible"].description == (
        "2024-06-04: nothing conspicuous in 390 bars."
    )


def test_thousands_of_findings_are_a_sentence_a_count_and_the_first_rows(settings):
    columns = walk(390, sigma=0.0005)
    columns["high"][::3] *= 1.5
    many = [intraday(columns, symbol=f"S|{i:03d}") for i in range(40)]
    check = evaluated(settings, pa.concat_tables(many))["prices_plausible"]
    count = check.metadata["findings"].value
    assert not check.passed
    assert count == 40 * 130
    assert check.description == (
        "2024-06-04: 5200 outliers in 40 symbols. The table is published; see the findings."
    )
    table = check.metadata["first_findings"].md_str
    assert len(table.splitlines()) == 2 + MOST_FINDINGS
    assert "S&#124;000" in table
    assert len(table) < 10_000


def test_the_shipped_thresholds_are_those_of_the_code(settings):
    assert settings.quality == QualitySettings()


def test_every_limit_is_a_setting():
    assert limits_of(QualitySettings()) == Limits()
    changed = limits_of(QualitySettings(zscore=5, gap_minutes=30))
    assert changed == dataclasses.replace(Limits(), zscore=5, gap_minutes=30)


def test_switched_off_the_checks_say_so(settings):
    off = settings.quality.model_copy(update={"enabled": False})
    bars = intraday(walk(390) | {"volume": [0.0] * 390})
    checks = evaluated(settings.model_copy(update={"quality": off}), bars)
    assert {e.description for e in checks.values()} == {"Switched off by quality.enabled."}


def test_a_check_that_breaks_warns_and_breaks_no_run(settings, monkeypatch):
    def broken(*_):
        raise ArithmeticError("no such thing")

    monkeypatch.setattr("stock_pipeline.defs.tables.quality.quality_findings", broken)
    checks = evaluated(settings, intraday(walk(390)))
    assert not any(e.passed for e in checks.values())
    assert "ArithmeticError: no such thing" in checks["times_plausible"].description


def test_other_tables_have_no_quality_checks(settings):
    empty = VOLATILITY_DAILY_TABLE.schema.empty_table()
    assert quality_evaluations(settings, VOLATILITY_DAILY_TABLE, KEY, "2024", empty) == []


def test_an_error_in_the_lake_warns_in_the_run_and_is_published(
    settings_for, ministack_endpoint, tmp_path, monkeypatch
):
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    feeds = {"daily": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"}}
    settings = settings_for(feeds)
    lake = Lake(settings.aws)
    days = [date(2020, 3, 1) + timedelta(days=i) for i in range(60)]
    rows = [daily(day, (100 + i % 7) * (0.01 if 30 <= i < 35 else 1)) for i, day in enumerate(days)]
    decide(lake, "daily", "index_daily", 0, rows)
    result = location().materialize([location().table(BARS_DAILY_TABLE)], partition_key="2020")
    assert result.success
    checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
    assert not checks["prices_plausible"].passed
    assert checks["prices_plausible"].severity is dg.AssetCheckSeverity.WARN
    assert "1 prices 100 times off in 1 symbol" in checks["prices_plausible"].description
    assert "2020-03-31" in checks["prices_plausible"].metadata["all_findings"].md_str
    assert lake.head(key_of(BARS_DAILY_TABLE, "2020"))
