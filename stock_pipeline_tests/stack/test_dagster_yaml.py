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
