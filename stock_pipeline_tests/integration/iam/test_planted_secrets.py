"""Secrets planted wherever they may come from are found nowhere else."""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import urllib.request
from dataclasses import replace
from urllib.parse import quote

import dagster as dg
import pytest
import yaml

from stock_pipeline.aws.session import aws_client
from stock_pipeline.cli import main
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import get_settings, load, project_root
from stock_pipeline.settings.emulator_keys import EmulatorKeys
from stock_pipeline.stack.aws import aws_process
from stock_pipeline.stack.children import ui_is_ready
from stock_pipeline.stack.ports import free_port
from stock_pipeline.stack.processes import Child, ProcessSpec
from stock_pipeline.stack.provision import ensure_bucket
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.roles import FEEDS, ROLE, forget, ingest, make_anybody
from stock_pipeline_tests.support.trades import trade

PLANTED = {
    "environment": "planted+secret/access&key-01",
    ".env": "planted+session/token&value-02",
    "Secrets Manager": "planted+external/id&value-03",
    "Kafka": "planted+kafka/password&value-04",
}
KEY_ID = "PLANTED"
PREFIX = "STOCK_PIPELINE__"
RUNS = """{ runsOrError { ... on Runs { results { runId runConfigYaml tags { key value }
  eventConnection { events { __typename ... on MessageEvent { message level }
    ... on ErrorEvent { error { message stack className causes { message stack } } } } } } } } }"""
OTHERS = [
    "{ instance { info runLauncher { name } daemonHealth { id } } }",
    """{ workspaceOrError { ... on Workspace { locationEntries { displayMetadata { key value }
      locationOrLoadError { ... on PythonError { message stack } } } } } }""",
    """{ assetNodes { id description metadataEntries { label description ... on
      TextMetadataEntry { text } } assetMaterializations { metadataEntries { label description
      ... on TextMetadataEntry { text } ... on PathMetadataEntry { path } } } } }""",
    """{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
      repositoryLocationName: "stock_pipeline"}) { ... on Sensors { results { name
      sensorState { ticks { status skipReason cursor error { message stack } } } } } } }""",
    """{ allTopLevelResourceDetailsOrError(repositorySelector: {repositoryName: "__repository__",
      repositoryLocationName: "stock_pipeline"}) { ... on ResourceDetailsList { results { name
      description configuredValues { key value type } nestedResources { name } } } } }""",
]


@pytest.fixture
def planted_endpoint(tmp_path_factory):
    """An emulator that knows whoever has the planted secrets; its URL."""
    home, port = tmp_path_factory.mktemp("planted"), free_port()
    spec = aws_process(home, port, EmulatorKeys(KEY_ID, PLANTED["environment"]))
    environment = {**spec.environment, "AWS_SESSION_TOKEN": PLANTED[".env"]}
    child = Child(replace(spec, environment=environment), home / "aws.log")
    child.start()
    child.wait_until_ready()
    yield f"http://127.0.0.1:{port}"
    child.stop()


@pytest.fixture
def plant(broker, planted_endpoint, settings_for, monkeypatch, tmp_path):
    """Settings whose secrets come from the environment, .env and Secrets Manager."""
    monkeypatch.setenv(f"{PREFIX}AWS__ENDPOINT_URL", planted_endpoint)
    monkeypatch.setenv(f"{PREFIX}AWS__ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv(f"{PREFIX}AWS__SECRET_ACCESS_KEY", PLANTED["environment"])
    with monkeypatch.context() as patch:
        patch.setenv(f"{PREFIX}AWS__SESSION_TOKEN", PLANTED[".env"])
        admin = settings_for(
            FEEDS, catalog={"method": "partitions"}, kafka={"request_timeout_seconds": 3}
        )
    ensure_bucket(admin.aws)
    name = f"planted-{admin.aws.bucket}"
    text = json.dumps({"aws.role_external_id": PLANTED["Secrets Manager"]})
    aws_client("secretsmanager", admin.aws).create_secret(Name=name, SecretString=text)
    make_anybody(admin.aws)
    monkeypatch.setattr(load, "project_root", lambda: tmp_path)
    env_file = tmp_path / ".env"
    env_file.write_text(f"{PREFIX}AWS__SESSION_TOKEN='{PLANTED['.env']}'\n")
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(f"{PREFIX}AWS__ROLE_ARN", ROLE)
    monkeypatch.setenv(f"{PREFIX}SECRETS__SECRET_ID", name)
    forget()
    settings = get_settings()
    assert settings.aws.session_token.get_secret_value() == PLANTED[".env"]
    assert settings.aws.role_external_id.get_secret_value() == PLANTED["Secrets Manager"]
    env_file.rename(tmp_path / "read.env")
    monkeypatch.setenv(f"{PREFIX}AWS__SESSION_TOKEN", PLANTED[".env"])
    yield settings
    forget()


def use_the_pipeline(settings, instance, monkeypatch):
    """Every way in which the pipeline speaks: runs, ticks, doctor, the command line."""
    ingest(settings, instance=instance, raise_on_error=False)
    location().refresh(instance=instance, raise_on_error=False)
    location().plan_batches(instance)
    for command in ("doctor", "status"):
        monkeypatch.setattr(sys, "argv", ["stock-pipeline", command])
        with pytest.raises(SystemExit):
            main()


def answers_of_the_ui(home):
    """What the UI's server answers about all that happened."""
    port = free_port()
    workspace = str(project_root() / "workspace.yaml")
    options = ["-w", workspace, "-h", "127.0.0.1", "-p", str(port)]
    spec = ProcessSpec(
        name="webserver",
        command=[sys.executable, "-m", "dagster_webserver", *options],
        environment={**os.environ, "DAGSTER_HOME": str(home)},
        working_directory=home,
        ready=lambda: ui_is_ready(f"http://127.0.0.1:{port}"),
        ready_seconds=180,
    )
    child = Child(spec, home / "webserver.log")
    child.start()
    try:
        child.wait_until_ready()
        return {query[:40]: graphql(port, query) for query in [RUNS, *OTHERS]}
    finally:
        child.stop()


def graphql(port, query):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read().decode()
    assert '"errors"' not in text, text[:2000]
    return text


def forms(secret):
    """A secret as it may be written."""
    plain = secret.encode()
    return {
        plain,
        quote(secret, safe="").encode(),
        json.dumps(secret).strip('"').encode(),
        base64.b64encode(plain).rstrip(b"=")[:-1],
        plain.hex().encode(),
    }


def test_planted_secrets_are_found_nowhere(plant, produce, monkeypatch, tmp_path, caplog, capfd):
    caplog.set_level(logging.INFO)
    produce(plant.feeds["trades"].topic, [trade(n) for n in range(50)] + [b"{"])
    home = tmp_path / "dagster"
    home.mkdir()
    # Runs in this process write to the storage that the web server reads.
    (home / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        # As it should be, then without the bucket, then refused by Kafka.
        use_the_pipeline(plant, instance, monkeypatch)
        lake = Lake(plant.aws)
        objects = {entry.key: lake.get(entry.key)[0] for entry in lake.list("")}
        monkeypatch.setenv(f"{PREFIX}AWS__BUCKET", "there-is-no-such-bucket")
        forget()
        use_the_pipeline(get_settings(), instance, monkeypatch)
        monkeypatch.setenv(f"{PREFIX}AWS__BUCKET", plant.aws.bucket)
        for name, value in {
            "PROTOCOL": "sasl_plaintext",
            "MECHANISM": "PLAIN",
            "USERNAME": "somebody",
            "PASSWORD": PLANTED["Kafka"],
        }.items():
            monkeypatch.setenv(f"{PREFIX}KAFKA__SECURITY__{name}", value)
        forget()
        use_the_pipeline(get_settings(), instance, monkeypatch)
        statuses = [run.status.value for run in instance.get_runs()]
    # A secret under a name that is no setting, and where a number belongs.
    with monkeypatch.context() as patch:
        patch.setenv(f"{PREFIX}AWS__SECRET_ACESS_KEY", PLANTED["environment"])
        patch.setenv(f"{PREFIX}CATALOG__TIMEOUT_SECONDS", PLANTED["Kafka"])
        patch.setattr(sys, "argv", ["stock-pipeline", "status"])
        get_settings.cache_clear()
        with pytest.raises(SystemExit):
            main()
        get_settings.cache_clear()
    ui = answers_of_the_ui(home)
    # The page of resources names where a secret is.
    assert f"{PREFIX}AWS__SECRET_ACCESS_KEY" in ui[OTHERS[-1][:40]]
    said = "".join(capfd.readouterr()) + caplog.text

    places = {"what was printed and logged": said.encode()}
    places |= {f"answer of the UI to {query}": text.encode() for query, text in ui.items()}
    places |= {f"object {key}": key.encode() + body for key, body in objects.items()}
    for folder in (home, tmp_path / "home"):
        files = [file for file in folder.rglob("*") if file.is_file()]
        places |= {str(file.relative_to(tmp_path)): file.read_bytes() for file in files}

    # That these are the right places: what is no secret is in them.
    assert sorted(set(statuses)) == ["FAILURE", "SUCCESS"]
    assert b"there-is-no-such-bucket" in places["what was printed and logged"]
    assert "secret_acess_key is not a setting" in said
    runs = next(text for query, text in ui.items() if "runsOrError" in query)
    assert "there-is-no-such-bucket" in runs
    stored = b"".join(body for place, body in places.items() if place.startswith("dagster"))
    assert b"there-is-no-such-bucket" in stored
    assert any(key.startswith("gold/") for key in objects)

    found = [
        (origin, place)
        for origin, secret in PLANTED.items()
        for place, body in places.items()
        if any(form in body for form in forms(secret))
    ]
    assert found == []
