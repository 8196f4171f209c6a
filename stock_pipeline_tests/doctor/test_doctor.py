"""Doctor says in one sentence what is wrong with each dependency, and never prints a secret."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.commands.doctor import doctor
from stock_pipeline.doctor.diagnose import diagnose
from stock_pipeline.doctor.finding import DoctorFinding
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.settings.emulator_keys import emulator_keys
from stock_pipeline.stack.aws import aws_process
from stock_pipeline.stack.local import LocalStack
from stock_pipeline.stack.ports import free_port
from stock_pipeline.stack.processes import Child
from stock_pipeline.stack.provision import ensure_bucket, ensure_workgroup
from stock_pipeline_tests.support.careless_store import careless_store
from stock_pipeline_tests.support.stack import SettingsFor

SECRET = "hunter2-0123456789"

app = typer.Typer()
app.command()(doctor)


def found(settings: Settings, name: str) -> DoctorFinding:
    """The one finding of that name."""
    (finding,) = [f for f in diagnose(settings) if f.name == name]
    return finding


@pytest.fixture
def provisioned(settings_for: SettingsFor, broker: str, ministack_endpoint: str) -> Settings:
    """Settings of which everything exists."""
    settings = settings_for()
    Catalogue(settings, Lake(settings.aws)).ensure()
    ensure_workgroup(settings)
    return settings


@pytest.fixture
def start_aws(tmp_path: Path, local_stack: LocalStack) -> Iterator[Callable[..., str]]:
    """`start_aws(SERVICES="s3")`: an emulator of its own with these variables; its URL."""
    children: list[Child] = []

    def start(**variables: str) -> str:
        port = free_port()
        spec = aws_process(tmp_path, port, emulator_keys(local_stack.home))
        spec = dataclasses.replace(spec, environment={**spec.environment, **variables})
        children.append(Child(spec, tmp_path / "aws.log"))
        children[-1].start()
        children[-1].wait_until_ready(lambda: False)
        return f"http://127.0.0.1:{port}"

    yield start
    for child in children:
        child.stop()


def test_nothing_fails_where_everything_is_there(
    provisioned: Settings, stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    findings = diagnose(provisioned)
    assert [f for f in findings if f.state not in {"ok", "warning"}] == []
    assert {f.name for f in findings} >= {
        "kafka broker",
        "kafka listeners",
        "feed trades",
        "credentials",
        "bucket",
        "conditional writes",
        "clock",
        "glue database",
        "glue crawlers",
        "athena",
        "calendars",
        "disk",
        "dagster home",
    }
    assert CliRunner().invoke(app, []).exit_code == 0


def test_nothing_running_is_told_apart_from_wrong(local_stack: LocalStack) -> None:
    settings = at(local_stack.settings, kafka=f"127.0.0.1:{free_port()}", aws=free_port())
    broker, store = found(settings, "kafka broker"), found(settings, "object store")
    assert "No broker answers at kafka.bootstrap_servers = 127.0.0.1:" in broker.answer
    assert "connection refused" in broker.answer
    assert broker.remedy == "`make dev` starts it and makes what is missing."
    assert "does not answer (connection refused)" in store.answer
    assert found(settings, "bucket").state == "skipped"


def test_a_port_that_speaks_something_else_is_no_broker(
    provisioned: Settings, ministack_endpoint: str
) -> None:
    address = ministack_endpoint.removeprefix("http://")
    short = provisioned.kafka.model_copy(
        update={"bootstrap_servers": address, "request_timeout_seconds": 1.0}
    )
    settings = provisioned.model_copy(update={"kafka": short})
    assert "takes connections but gives no Kafka answer" in found(settings, "kafka broker").answer


def test_a_name_that_nobody_knows_is_said(local_stack: LocalStack) -> None:
    settings = at(local_stack.settings, kafka="broker.invalid:9092", aws=free_port())
    assert "the name is unknown" in found(settings, "kafka broker").answer


def test_a_listener_that_cannot_be_reached_is_named() -> None:
    from stock_pipeline.doctor.kafka import _listeners

    port = free_port()
    finding = _listeners("127.0.0.1:9092", [("127.0.0.1", port)])
    assert finding.state == "failed"
    assert f"tell clients to connect to 127.0.0.1:{port}, which cannot be" in finding.answer
    assert "127.0.0.1:9092 was configured" in finding.answer


def test_a_missing_topic_is_named(provisioned: Settings) -> None:
    feed = provisioned.feeds["trades"].model_copy(update={"topic": "not-there"})
    settings = provisioned.model_copy(update={"feeds": {"trades": feed}})
    assert found(settings, "feed trades").answer == "Topic not-there does not exist."


def test_fewer_partitions_than_set_are_a_warning(provisioned: Settings) -> None:
    feed = provisioned.feeds["trades"].model_copy(update={"partitions": 4})
    settings = provisioned.model_copy(update={"feeds": {"trades": feed}})
    assert found(settings, "feed trades").state == "warning"


def test_a_wrong_bucket_is_named(provisioned: Settings) -> None:
    aws = provisioned.aws.model_copy(update={"bucket": "not-there"})
    settings = provisioned.model_copy(update={"aws": aws})
    assert found(settings, "bucket").answer.startswith("There is no bucket not-there at http://")
    assert found(settings, "credentials").state == "ok"


def test_a_missing_database_and_workgroup_are_named(
    settings_for: SettingsFor, broker: str, ministack_endpoint: str
) -> None:
    settings = settings_for()
    for name in ("glue database", "athena"):
        finding = found(settings, name)
        assert finding.state == "failed", finding
        assert finding.remedy == "`make dev` starts it and makes what is missing."


def test_missing_crawlers_are_named(
    settings_for: SettingsFor, start_aws: Callable[..., str]
) -> None:
    # An emulator of its own: crawlers have the same names in every test.
    settings = settings_for()
    aws = settings.aws.model_copy(update={"endpoint_url": start_aws()})
    ensure_bucket(aws)
    finding = found(settings.model_copy(update={"aws": aws}), "glue crawlers")
    assert finding.state == "failed"
    assert finding.answer.startswith("Glue does not have all of the crawlers")


def test_wrong_keys_are_named_and_not_shown(
    settings_for: SettingsFor,
    broker: str,
    start_aws: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", start_aws())
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ACCESS_KEY_ID", "AKIA" + SECRET)
    monkeypatch.setenv("STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY", SECRET)
    settings_for()
    for arguments in ([], ["--json"]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1
        assert SECRET not in done.output
    findings = {finding["name"]: finding for finding in json.loads(done.output)}
    assert "does not accept the AWS keys" in findings["credentials"]["answer"]
    assert findings["bucket"]["state"] == "skipped"


def test_a_store_that_ignores_conditions_is_said_to_be_unsafe(
    provisioned: Settings, ministack_endpoint: str
) -> None:
    with careless_store(ministack_endpoint, ("PUT", "If-None-Match")) as url:
        aws = provisioned.aws.model_copy(update={"endpoint_url": url})
        settings = provisioned.model_copy(update={"aws": aws})
        finding = found(settings, "conditional writes")
    assert "The store ignores put-if-absent" in finding.answer
    assert "nothing is ingested" in finding.remedy


@pytest.mark.parametrize(
    ("offset", "state", "side"), [(-30, "warning", "ahead of"), (300, "failed", "behind")]
)
def test_a_clock_that_is_off_is_said(
    provisioned: Settings, ministack_endpoint: str, offset: float, state: str, side: str
) -> None:
    with careless_store(ministack_endpoint, clock_offset_seconds=offset) as url:
        aws = provisioned.aws.model_copy(update={"endpoint_url": url})
        finding = found(provisioned.model_copy(update={"aws": aws}), "clock")
    assert finding.state == state
    assert f"s {side} the store's." in finding.answer


def test_an_unknown_calendar_is_named(settings_for: SettingsFor) -> None:
    settings = settings_for(
        {"trades": {"format": "trade", "calendar": "XNYZ"}},
        history={"yahoo": {"symbols": ["0005.HK"], "calendar": "XHKX"}},
    )
    of_feed, of_history = [f for f in diagnose(settings) if f.name == "calendars"]
    assert of_feed.answer.startswith("feeds.trades.calendar names XNYZ, which is no exchange cal")
    assert of_history.answer.startswith("history.yahoo.calendar names XHKX, which is no exchang")


def test_wrong_settings_are_the_only_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "app_config.yaml"
    config.write_text("profil: local\n")
    monkeypatch.setenv("STOCK_PIPELINE_CONFIG", str(config))
    done = CliRunner().invoke(app, ["--json"])
    assert done.exit_code == 1
    (finding,) = json.loads(done.output)
    assert "app_config.yaml:1: profil is not a setting" in finding["answer"]
    get_settings.cache_clear()


def at(settings: Settings, kafka: str, aws: int) -> Settings:
    """The settings with other addresses."""
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": kafka}),
            "aws": settings.aws.model_copy(update={"endpoint_url": f"http://127.0.0.1:{aws}"}),
        }
    )
