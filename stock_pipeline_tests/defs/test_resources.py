"""What the resources hand out, what they show, when they connect, and what they keep."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_aws.athena import AthenaClientResource
from dagster_aws.s3 import S3Resource
from dagster_aws.secretsmanager import SecretsManagerResource

from stock_pipeline.definitions import build_definitions, defs
from stock_pipeline.defs.configured import configured_resources
from stock_pipeline.defs.connections import Connections
from stock_pipeline.defs.ingest.assets import ingest_assets
from stock_pipeline.defs.planning import Planning, kept_planning
from stock_pipeline.defs.resources import KafkaResource, LakeResource, QueriesResource
from stock_pipeline.defs.tables.factory import table_asset
from stock_pipeline.defs.tables.partitions import listed_partitions
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.planner import Attempt, Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import system_clock
from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE, VOLATILITY_INTRADAY_TABLE
from stock_pipeline.settings import Settings, load_settings, project_root
from stock_pipeline.stack.ports import free_port
from stock_pipeline.tables.due import key_of
from stock_pipeline_tests.support.location import Location
from stock_pipeline_tests.support.trades import FEEDS, trade

SECRET = "hunter2-planted"
PREFIX = "STOCK_PIPELINE__"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a file and of variables; nothing of this process's."""

    def load(variables: dict[str, str] | None = None, **sections: Any) -> Settings:
        file = tmp_path / "config.yaml"
        feeds = {"trades": {"topic": "t", "format": "trade", "source": "trades"}}
        file.write_text(
            yaml.safe_dump({"feeds": feeds, "simulator": {"enabled": False}, **sections})
        )
        return load_settings(file, tmp_path / ".env", variables or {}, with_secret=False)

    return load


def shown(definitions: dg.Definitions) -> dict[str, Any]:
    """What the UI gets to know of each resource."""
    snap = RepositorySnap.from_def(definitions.get_repository_def())
    return {resource.name: resource for resource in snap.resources or []}


def test_each_resource_is_described_field_by_field(load: Callable[..., Settings]) -> None:
    found = shown(build_definitions(load()))
    assert set(found) == {"kafka", "lake", "s3", "catalogue", "athena", "queries", "secrets"}
    for resource in found.values():
        assert resource.resource_snapshot.description
        ours = [f for f in resource.config_field_snaps if not f.description]
        assert ours == [], (resource.name, ours)
    users = {
        name: [*r.asset_keys_using, *r.job_ops_using, *r.sensors_using, *r.schedules_using]
        for name, r in found.items()
    }
    assert all(users[name] for name in ("kafka", "lake", "catalogue", "athena")), users


def test_definitions_are_given_all_they_need_and_only_they_raise_dagsters_failures() -> None:
    package = project_root() / "stock_pipeline"
    sources = {file: file.read_text(encoding="utf-8") for file in package.rglob("*.py")}
    ours = {file for file in sources if file.is_relative_to(package / "defs")}
    assert ours
    for word in ("get_settings", "@cache"):
        assert [file for file in ours if word in sources[file]] == [], word
    assert [file for file in sources.keys() - ours if "dg.Failure" in sources[file]] == []


def test_a_secret_is_shown_as_its_variable_or_not_at_all(
    load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = f"{PREFIX}AWS__SECRET_ACCESS_KEY"
    monkeypatch.setenv(key, SECRET)
    (tmp_path / ".env").write_text(f"{PREFIX}KAFKA__SECURITY__PASSWORD={SECRET}\n")
    settings = load(
        {key: SECRET, f"{PREFIX}AWS__ACCESS_KEY_ID": "id"},
        profile="aws",
        kafka={
            "bootstrap_servers": "kafka:9092",
            "security": {"protocol": "sasl_ssl", "mechanism": "PLAIN", "username": "somebody"},
        },
    )
    definitions = build_definitions(settings)
    found = shown(definitions)
    assert SECRET not in str(found)
    assert key in str(found["s3"].configured_values["aws_secret_access_key"])
    with dg.build_resources(dict(definitions.resources or {})) as made:
        password = made.kafka.settings().security.password
        assert password.get_secret_value() == SECRET
        assert made.kafka.settings() == settings.kafka
        assert made.lake.aws() == settings.aws


def test_other_assets_get_dagsters_own_resources_with_our_address_and_keys(
    load: Callable[..., Settings],
) -> None:
    found = configured_resources(Connections(load(aws={"endpoint_url": "http://127.0.0.1:1"})))
    assert isinstance(found["s3"], S3Resource)
    assert isinstance(found["athena"], AthenaClientResource)
    assert isinstance(found["secrets"], SecretsManagerResource)
    clients = (
        found["s3"].get_client(),
        found["athena"].get_client().client,
        found["secrets"].get_client(),
    )
    assert {client.meta.endpoint_url for client in clients} == {"http://127.0.0.1:1"}


def test_secrets_manager_is_asked_at_first_use_and_once(load: Callable[..., Settings]) -> None:
    graph = load(
        profile="aws",
        secrets={"secret_id": "ours"},
        kafka={"security": {"protocol": "sasl_ssl", "mechanism": "PLAIN"}},
    )
    security = graph.kafka.security.model_copy(update={"username": "us"})
    kafka = graph.kafka.model_copy(update={"bootstrap_servers": "kafka:9092", "security": security})
    asked = []

    def complete() -> Settings:
        asked.append(1)
        return load(
            {f"{PREFIX}KAFKA__SECURITY__PASSWORD": SECRET},
            profile="aws",
            kafka=kafka.model_dump(exclude_none=True, mode="json"),
        )

    definitions = build_definitions(graph, complete)
    definitions.get_repository_def().load_all_definitions()
    assert asked == []
    for _ in range(2):
        with dg.build_resources(dict(definitions.resources or {})) as made:
            found = made.kafka.settings()
            assert found.bootstrap_servers == "kafka:9092"
            assert found.security.password.get_secret_value() == SECRET
            assert made.lake.aws() == graph.aws
    assert asked == [1]


def test_the_code_location_loads_without_secrets_manager_and_says_at_first_use_what_is_wrong(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_for(FEEDS)
    monkeypatch.setenv(f"{PREFIX}SECRETS__SECRET_ID", "nowhere")
    monkeypatch.setenv(f"{PREFIX}SECRETS__ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    definitions = defs()
    sensor = definitions.resolve_sensor_def("plan_batches")
    needed = {key: (definitions.resources or {})[key] for key in sensor.required_resource_keys}
    with dg.build_sensor_context(resources=needed) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None
    assert "Secrets Manager did not answer" in str(result.skip_reason.skip_message)


def test_what_is_kept_outlives_a_tick_and_is_closed_once(load: Callable[..., Settings]) -> None:
    closed = []

    class Dear:
        def close(self) -> None:
            closed.append(self)

    connections = Connections(load())
    first = connections.keep("dear", Dear)
    assert connections.keep("dear", Dear) is first
    with pytest.raises(ZeroDivisionError):
        connections.keep("broken", lambda: 1 / 0)
    assert connections.keep("broken", lambda: 1) == 1
    connections.close()
    connections.close()
    assert closed == [first]


def test_ticks_share_one_planner_until_brokers_or_lake_change(
    load: Callable[..., Settings],
) -> None:
    settings = load()
    here = Location(settings)
    kafka, lake = here.resources["kafka"], here.resources["lake"]

    def planning(**changed: Any) -> Planning:
        other = KafkaResource(
            **{"bootstrap_servers": kafka.bootstrap_servers, "connections": here.connections}
            | changed
        )
        return kept_planning(settings, other, lake, system_clock)

    assert planning() is planning()
    assert planning(bootstrap_servers="elsewhere:9092") is not planning()


def test_a_batch_and_a_gold_partition_are_made_with_resources_alone(
    settings_for: Callable[..., Settings],
    lake: Lake,
    broker: str,
    produce: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for(FEEDS)
    produce(
        settings.feeds["trades"].topic, [trade(n * 60_000, price=100 + n % 2) for n in range(7)]
    )
    aws = settings.aws
    assert aws.access_key_id
    assert aws.secret_access_key
    store = S3Resource(
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        aws_access_key_id=aws.access_key_id.get_secret_value(),
        aws_secret_access_key=aws.secret_access_key.get_secret_value(),
    )
    for name in [name for name in os.environ if name.startswith("STOCK_PIPELINE")]:
        monkeypatch.delenv(name)
    resources = {
        "kafka": KafkaResource(bootstrap_servers=broker),
        "lake": LakeResource(bucket=aws.bucket, s3=store),
    }
    assert dg.materialize([ingest_assets(settings, "trades")], resources=resources).success
    (commit,) = OffsetLog(lake, "trades").commits()
    assert commit.decision.rows == 7
    for table in (BARS_INTRADAY_TABLE, VOLATILITY_INTRADAY_TABLE):
        asset = table_asset(settings, system_clock, listed_partitions(settings), table)
        assert dg.materialize([asset], partition_key="2026-01-01", resources=resources).success
    rows, _ = lake.read_table(key_of(VOLATILITY_INTRADAY_TABLE, "2026-01-01"))
    assert set(rows["symbol"].to_pylist()) == {"SIM-A"}
    assert max(rows["realized_variance"].to_pylist()) > 0
    queries = QueriesResource(lake=resources["lake"], connections=Connections(settings))
    with dg.build_resources({"queries": queries}) as made:
        count = made.queries.query('SELECT count(*) AS n FROM bronze."trades"')
    assert count["n"].to_pylist() == [7]


def test_plans_commits_and_back_off_follow_the_clock_that_is_given(
    settings_for: Callable[..., Settings], lake: Lake, broker: str, produce: Callable[..., None]
) -> None:
    settings = settings_for(FEEDS | {"trades": FEEDS["trades"] | {"min_records": 1}})
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(0)])
    now = datetime(2031, 5, 6, 7, tzinfo=UTC)
    planner = Planner(settings, lake, clock=lambda: now)
    (request,) = planner.tick("trades", planner.poll()[topic], lambda plan: []).requests
    planned_at = datetime(2031, 5, 6, 7)
    assert request.plan.planned_at == planned_at

    failed = Attempt(1, planned_at, planned_at)
    waits = planner.tick("trades", planner.poll()[topic], lambda plan: [failed])
    assert "failed, the next in 5 s" in waits.sentence
    now += timedelta(seconds=5)
    again = planner.tick("trades", planner.poll()[topic], lambda plan: [failed])
    assert [r.attempt for r in again.requests] == [2]

    done, _ = run_batch(planner, "trades", request.plan, 2, "run")
    assert done.commit.committed_at == planned_at + timedelta(seconds=5)
