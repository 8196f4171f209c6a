from __future__ import annotations

import shutil

import dagster as dg

from stock_pipeline.settings import project_root


def test_dagster_accepts_our_instance_configuration(tmp_path):
    shutil.copy(project_root() / "dagster.yaml", tmp_path)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_monitoring_enabled


def test_of_a_sources_history_one_run_goes_at_a_time_and_nothing_else_waits_for_it(
    tmp_path, settings_for
):
    shutil.copy(project_root() / "dagster.yaml", tmp_path)
    settings = settings_for(
        {"live": {"format": "trade", "source": "trades"}}, history={"yahoo": {"symbols": ["A"]}}
    )
    from stock_pipeline.defs.ingest.assets import ingest_assets
    from stock_pipeline.defs.landing.assets import landing_asset
    from stock_pipeline.defs.tables.partitions import listed_partitions
    from stock_pipeline.defs.tables.refresh import refresh_asset

    landing = landing_asset(settings, "yahoo", daily=True)
    ingest = ingest_assets(settings, "live")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        pools = instance.get_concurrency_config().pool_config
        assert (pools.default_pool_limit, str(pools.pool_granularity)) == (1, "PoolGranularity.RUN")
    assert landing.op.pool == "landing_yahoo"
    assert (ingest.op.pool, refresh_asset(settings, listed_partitions(settings)).op.pool) == (
        None,
        None,
    )
