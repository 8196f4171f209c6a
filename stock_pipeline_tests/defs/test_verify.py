"""The nightly reconciliation through Dagster: green, then red with the findings as a table."""

from __future__ import annotations

import dagster as dg
import pytest

from stock_pipeline.definitions import build_definitions
from stock_pipeline.defs.catalog.assets import CATALOG_KEY
from stock_pipeline.defs.shared.keys import asset_key, bronze_key
from stock_pipeline.defs.verify.checks import VerifyConfig, reconciliation, results
from stock_pipeline.defs.verify.definitions import definitions
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE, TABLES
from stock_pipeline.settings import get_settings
from stock_pipeline.verify.report import Kind, Report, VerifyFinding
from stock_pipeline_tests.support.location import location


def test_every_finding_is_shown_by_one_check():
    feed = next(iter(get_settings().feeds))
    findings = [
        VerifyFinding(Kind.GAP, "A gap.", "_offset_log/x", "Mend it.", feed, 3),
        VerifyFinding(Kind.STALE_SILVER, "Stale.", "silver/bars_intraday/x.parquet", "."),
        VerifyFinding(Kind.STALE_CATALOGUE, "A table lacks.", "db.silver_x", "."),
        VerifyFinding(Kind.FOREIGN_OBJECT, "A stranger.", "gold/other/x.parquet", "."),
        VerifyFinding(Kind.NOT_COMPARED, "Kafka was not compared.", "127.0.0.1:9", "."),
    ]
    shown = {
        r.asset_key: r for r in results(get_settings(), Report(findings=findings), "since then")
    }
    assert len(shown) == len(get_settings().feeds) + len(TABLES) + 1
    red = {key for key, r in shown.items() if not r.passed}
    assert red == {bronze_key(feed), asset_key(BARS_INTRADAY_TABLE), CATALOG_KEY}
    assert (
        sum(len(r.metadata["findings"].records) for r in shown.values() if r.asset_key in red) == 5
    )
    assert shown[bronze_key(feed)].description == "Gap. A gap."


def test_the_schedule_runs_the_job_every_night():
    defs = definitions(get_settings())
    (job,), (nightly,) = defs.jobs, defs.schedules
    assert nightly.job_name == job.name == "verify"
    assert nightly.default_status is dg.DefaultScheduleStatus.RUNNING


def test_only_the_job_verify_reconciles():
    """Not the run of each batch, nor a crawl: their assets have the check too."""
    jobs = build_definitions(get_settings()).get_repository_def().get_all_jobs()
    steps = {job.name: {node.name for node in job.nodes} for job in jobs}
    mine = {name for name in steps if not name.startswith("__")}
    assert {"ingest_stock_bars", "crawl_lake", "roll_up", "verify"} <= mine
    assert {name for name in mine if "reconcile" in steps[name]} == {"verify"}
    assert steps["ingest_stock_bars"] == {"batch_of_stock_bars"}


def test_a_table_that_a_person_materializes_is_not_reconciled_with_it(monkeypatch):
    def never(*_):
        raise AssertionError("verified")

    monkeypatch.setattr("stock_pipeline.defs.verify.checks.verify", never)
    settings = get_settings()
    table = dg.AssetSpec(asset_key(BARS_INTRADAY_TABLE))
    made = dg.multi_asset(specs=[table], name="made")(lambda: dg.MaterializeResult())
    with dg.DagsterInstance.ephemeral() as instance:
        result = location().materialize(
            [made, reconciliation(settings)],
            selection=dg.AssetSelection.assets(table.key),
            instance=instance,
        )
    assert result.success
    assert not result.get_asset_check_evaluations()


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
    defs = build_definitions(get_settings())
    result = defs.resolve_job_def("verify").execute_in_process(
        run_config=dg.RunConfig({"reconcile": VerifyConfig(days=0)})
    )
    get_settings.cache_clear()
    assert result.success
    red = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert [e.asset_key for e in red] == [CATALOG_KEY]
    assert "Kafka was not compared" in red[0].description
