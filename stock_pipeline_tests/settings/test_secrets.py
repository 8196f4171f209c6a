"""Settings from Secrets Manager: read once, below .env and the environment, never repeated."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stock_pipeline.settings import Settings, SettingsError, load_settings
from stock_pipeline.settings.emulator_keys import emulator_keys
from stock_pipeline.stack.local import LocalStack
from stock_pipeline.stack.ports import free_port

SECRET = "hunter2-from-secrets-manager"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    def load(
        endpoint: str, secret_id: str, *, with_secret: bool = True, **environment: str
    ) -> Settings:
        file = tmp_path / "config.yaml"
        settings = {
            "feeds": {"t": {"topic": "t", "format": "trade", "source": "t"}},
            "simulator": {"enabled": False},
            "secrets": {"secret_id": secret_id, "endpoint_url": endpoint},
        }
        file.write_text(yaml.safe_dump(settings))
        variables = {f"STOCK_PIPELINE__{k}": v for k, v in environment.items()}
        return load_settings(file, tmp_path / "absent", variables, with_secret=with_secret)

    return load


@pytest.fixture
def secret(ministack_endpoint: str, local_stack: LocalStack) -> Callable[[str], str]:
    """`secret(text)`: a new secret in the emulator; its id."""
    import botocore.session

    keys = emulator_keys(local_stack.home)
    client = botocore.session.Session().create_client(
        "secretsmanager",
        endpoint_url=ministack_endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
    )

    def make(text: str) -> str:
        name = f"stock-pipeline/{uuid.uuid4().hex[:8]}"
        client.create_secret(Name=name, SecretString=text)
        return name

    return make


def test_a_secret_sets_settings_and_the_environment_overrides_it(load, secret, ministack_endpoint):
    values = {"aws.role_external_id": SECRET, "aws.region": "eu-west-1", "feeds.t.max_records": 77}
    name = secret(json.dumps(values | {"feeds.t.min_records": 5}))

    settings = load(ministack_endpoint, name, AWS__REGION="us-east-1")

    assert settings.aws.role_external_id is not None
    assert settings.aws.role_external_id.get_secret_value() == SECRET
    assert settings.aws.region == "us-east-1"
    assert settings.feeds["t"].max_records == 77
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize(
    "text", [SECRET, f'["{SECRET}"]', json.dumps({"aws": {"region": SECRET}}), '{"a": null}']
)
def test_a_secret_that_is_no_flat_object_is_refused_without_its_text(
    load, secret, ministack_endpoint, text
):
    with pytest.raises(SettingsError, match="must be a JSON object") as caught:
        load(ministack_endpoint, secret(text))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_wrong_value_in_a_secret_is_told_by_its_key(load, secret, ministack_endpoint):
    name = secret(json.dumps({"feeds.t.max_records": SECRET, "kafka.pasword": SECRET}))
    with pytest.raises(SettingsError) as caught:
        load(ministack_endpoint, name)
    lines = str(caught.value).splitlines()
    assert any(
        line.startswith("Secrets Manager (feeds.t.max_records): feeds.t.max_records must be")
        for line in lines
    )
    assert any("kafka.pasword is not a setting" in line for line in lines)
    assert SECRET not in str(caught.value)


def test_a_missing_secret_is_one_sentence_with_its_place(load, ministack_endpoint):
    with pytest.raises(SettingsError) as caught:
        load(ministack_endpoint, "stock-pipeline/not-there")
    assert "secret stock-pipeline/not-there does not exist. Create it" in str(caught.value)
    assert "config.yaml:" in str(caught.value)


def test_no_answer_is_one_sentence(load):
    with pytest.raises(SettingsError, match="Secrets Manager did not answer"):
        load(f"http://127.0.0.1:{free_port()}", "any")


SASL = {
    "PROFILE": "compose",
    "KAFKA__SECURITY__PROTOCOL": "sasl_ssl",
    "KAFKA__SECURITY__MECHANISM": "PLAIN",
    "KAFKA__SECURITY__USERNAME": "me",
}


def test_without_the_secret_nobody_is_asked_and_what_it_may_set_is_not_missing(load):
    nobody = f"http://127.0.0.1:{free_port()}"
    settings = load(nobody, "any", with_secret=False, **SASL)
    assert settings.kafka.security.password is None
    assert settings.aws.secret_access_key is None
    assert settings.kafka.bootstrap_servers == ""


def test_without_the_secret_what_is_wrong_is_still_named(load):
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SettingsError, match=r"kafka\.security\.mechanism must be one of PLAIN"):
        load(nobody, "any", with_secret=False, KAFKA__SECURITY__MECHANISM="PLAN")


def test_settings_that_name_no_secret_lack_nothing_in_silence(load):
    with pytest.raises(SettingsError, match=r"kafka\.security\.password is missing"):
        load("http://127.0.0.1:1", "", with_secret=False, **SASL)
