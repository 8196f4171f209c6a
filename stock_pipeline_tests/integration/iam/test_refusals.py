"""A revoked permission or a key that is no more: one sentence, and it goes on when mended."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.aws.session import aws_client
from stock_pipeline.cli import main
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import SettingsError, get_settings, load_settings
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.roles import forget, ingest
from stock_pipeline_tests.support.trades import ingest_all, trade


def tick():
    with dg.instance_for_test() as instance:
        return location().plan_batches(instance)


def failure_of(result):
    (event,) = [e for e in result.all_events if e.is_step_failure]
    return event.step_failure_data.user_failure_data.description


def test_a_revoked_permission_is_one_sentence_and_ingest_goes_on_when_mended(
    roles, produce, capsys, monkeypatch
):
    settings = roles.become("ingest")
    bucket = settings.aws.bucket
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(20)])
    roles.revoke("ingest", "s3:PutObject")

    sentence = failure_of(ingest(settings, raise_on_error=False))
    assert "AWS does not allow s3:PutObject on s3://" + bucket in sentence
    assert (
        f"to {roles.arn('ingest').replace(':iam:', ':sts:').replace('role/', 'assumed-role/')}"
        in (sentence)
    )
    assert "stays planned" in sentence
    assert "nothing needs a restart" in sentence
    assert "\n" not in sentence

    roles.grant("ingest")
    assert [done.commit.decision.rows for done in ingest_all(settings)] == [20]

    roles.revoke("ingest", "s3:ListBucket")
    skipped = tick().skip_reason.skip_message
    assert f"AWS does not allow s3:ListBucket on s3://{bucket}/" in skipped
    assert "nothing was planned or lost" in skipped
    monkeypatch.setattr("sys.argv", ["stock-pipeline", "status"])
    with pytest.raises(SystemExit):
        main()
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "AWS does not allow s3:ListBucket" in line

    roles.grant("ingest")
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(7)])
    # The same process with the same clients.
    assert len(tick().run_requests) == 1


def test_a_role_that_may_not_be_assumed_is_one_sentence(roles):
    settings = roles.become("ingest")
    other = settings.aws.model_copy(update={"role_arn": roles.arn("nobody")})
    settings = settings.model_copy(update={"aws": other})
    with pytest.raises(AWS_ERRORS) as caught:
        Lake(settings.aws).get("bronze/x")
    sentence = aws_sentence(caught.value, "nothing was read")
    assert f"AWS does not allow sts:AssumeRole on {roles.arn('nobody')}" in sentence


def test_keys_that_were_renewed_are_taken_by_clients_that_exist(roles, monkeypatch):
    settings = roles.become("ingest")
    user = f"runner-{roles.suffix}"
    # Without a role, so that each request is signed with the keys themselves.
    roles.iam.put_user_policy(
        UserName=user, PolicyName="ingest", PolicyDocument=json.dumps(roles.policy("ingest"))
    )
    monkeypatch.delenv("STOCK_PIPELINE__AWS__ROLE_ARN")
    forget()
    settings = get_settings()
    lake = Lake(settings.aws)
    files = lake.filesystem
    Lake(roles.admin.aws).put("bronze/trades/x", b"kept")
    assert lake.get("bronze/trades/x")[0] == b"kept"
    with files.open_input_file(f"{lake.bucket}/bronze/trades/x") as file:
        assert file.read() == b"kept"

    roles.iam.delete_access_key(UserName=user, AccessKeyId=roles.key["AccessKeyId"])
    renewed = roles.iam.create_access_key(UserName=user)["AccessKey"]
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ACCESS_KEY_ID", renewed["AccessKeyId"])
    monkeypatch.setenv("STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY", renewed["SecretAccessKey"])

    with files.open_input_file(f"{lake.bucket}/bronze/trades/x") as file:
        assert file.read() == b"kept"
    assert lake.get("bronze/trades/x")[0] == b"kept"
    assert lake.put_if_absent("bronze/trades/y", b"new")
    assert lake.head("bronze/trades/y")


def test_a_secret_that_may_not_be_read_is_one_sentence(roles, monkeypatch):
    roles.become("ingest")
    secrets = aws_client("secretsmanager", roles.admin.aws)
    name = f"denied-{roles.suffix}"
    secrets.create_secret(Name=name, SecretString='{"aws.region": "eu-west-1"}')
    monkeypatch.setenv("STOCK_PIPELINE__SECRETS__SECRET_ID", name)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"secret {name} may not be read (AccessDeniedException)" in str(caught.value)
    assert "secretsmanager:GetSecretValue" in str(caught.value)
