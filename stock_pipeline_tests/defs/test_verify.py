"""The nightly reconciliation through Dagster: green, then red with the findings as a table."""

from __future__ import annotations

import dagster as dg
import pytest

from stock_pipeline.defs.verify.assets import (
    CATALOGUE,
    VerifyConfig,
    feed_key,
    nightly_verify,
    reconcile,
    results,
    table_key,
    verify_job,
)
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE, TABLES
from stock_pipeline.settings import get_settings
from stock_pipeline.verify.report import Kind, Report, VerifyFinding


def test_every_finding_is_shown_by_one_asset():
    feed = next(iter(get_settings().feeds))
    findings = [
        VerifyFinding(Kind.GAP, "A gap.", "_offset_log/x", "Mend it.", feed, 3),
        VerifyFinding(
            Kind.STALE_SILVER, "Stale.", "silver/bars_intraday/trade_date=x/bars.parquet", "."
        ),
        VerifyFinding(
            Kind.STALE_CATALOGUE, "Table silver_bars_intraday lacks.", "db.silver_x", "."
        ),
        VerifyFinding(Kind.FOREIGN_OBJECT, "A stranger.", "gold/other/x.parquet", "."),
        VerifyFinding(Kind.NOT_COMPARED, "Kafka was not compared.", "127.0.0.1:9", "."),
    ]
    shown = {r.asset_key: r for r in results(Report(findings=findings), "since then")}
    assert len(shown) == len(get_settings().feeds) + len(TABLES) + 1
    red = {key for key, r in shown.items() if not r.check_results[0].passed}
    assert red == {feed_key(feed), table_key(BARS_INTRADAY_TABLE), CATALOGUE}
    assert (
        sum(len(r.metadata["findings"].records) for r in shown.values() if r.asset_key in red) == 5
    )
    assert shown[feed_key(feed)].check_results[0].description == "Gap. A gap."


def test_the_schedule_runs_the_job_every_night():
    assert nightly_verify.job_name == verify_job.name == "verify"
    assert nightly_verify.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.integration
def test_an_unreachable_part_makes_a_check_red_and_not_the_run(
    ministack_endpoint, settings_for, monkeypatch
):
    """The feeds are the default configuration's, as the definitions have them."""
    from stock_pipeline.stack.provision import ensure_bucket

    settings = get_settings()
    ensure_bucket(settings.aws)
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__REQUEST_TIMEOUT_SECONDS", "1")
    get_settings.cache_clear()
    result = dg.materialize(
        [reconcile], run_config=dg.RunConfig({"reconcile": VerifyConfig(days=0)})
    )
    get_settings.cache_clear()
    assert result.success
    red = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert [e.asset_key for e in red] == [CATALOGUE]
    assert "Kafka was not compared" in red[0].description
