from __future__ import annotations

import json

import pytest

from stock_pipeline.aws import bucket_security
from stock_pipeline.aws.bucket_security import has_tls, insecurities
from stock_pipeline.aws.session import aws_client
from stock_pipeline.settings import AwsSettings
from stock_pipeline.stack.provision import ensure_bucket, provision, topic_configs
from stock_pipeline_tests.support.waiting import until


def test_provisioning_twice_makes_everything_once(broker, ministack_endpoint, settings_for):
    settings = settings_for({"trades": {"format": "trade", "retention_minutes": 5}})

    provision(settings)
    provision(settings)

    glue = aws_client("glue", settings.aws)
    for layer in ("bronze", "quarantine", "silver", "gold"):
        definition = glue.get_crawler(Name=f"stock_pipeline_{layer}")["Crawler"]
        assert definition["TablePrefix"] == f"{layer}_"
    crawler = glue.get_crawler(Name="stock_pipeline_bronze")["Crawler"]
    assert crawler["DatabaseName"] == settings.catalog.database
    assert [target["Path"] for target in crawler["Targets"]["S3Targets"]] == [
        f"s3://{settings.aws.bucket}/bronze/trades/"
    ]
    athena = aws_client("athena", settings.aws)
    group = athena.get_work_group(WorkGroup=settings.athena.workgroup)["WorkGroup"]
    location = group["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{settings.aws.bucket}/_athena_results/"


@pytest.mark.broker_semantics
def test_a_changed_retention_reaches_an_existing_topic(broker, settings_for):
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    topic = settings_for({"t": {"format": "trade", "retention_minutes": 5}}).feeds["t"].topic

    settings_for({"t": {"format": "trade", "retention_minutes": 7}})

    admin = KafkaAdminClient(bootstrap_servers=broker)

    def retention() -> str:
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return str(answer["topic"][topic]["retention.ms"]["value"])

    until(lambda: retention() == str(7 * 60_000), "the new retention")
    admin.close()


def test_segments_are_short_enough_for_the_retention_to_delete_any():
    assert topic_configs(20) == {"retention.ms": "1200000", "segment.ms": "300000"}
    assert topic_configs(1)["segment.ms"] == "60000"
    assert topic_configs(365 * 24 * 60)["segment.ms"] == str(7 * 24 * 3_600_000)


def test_a_bucket_is_made_encrypted_and_not_public_and_its_policy_is_kept(lake):
    block = lake.client.get_public_access_block(Bucket=lake.bucket)
    assert all(block["PublicAccessBlockConfiguration"].values())
    rules = lake.client.get_bucket_encryption(Bucket=lake.bucket)
    (rule,) = rules["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert list(insecurities(lake.aws)) == []

    lake.client.delete_public_access_block(Bucket=lake.bucket)
    lake.client.delete_bucket_encryption(Bucket=lake.bucket)
    found = list(insecurities(lake.aws))
    # S3 itself encrypts whatever one deletes; an emulator may not.
    assert "Public access is not blocked." in found
    ensure_bucket(lake.aws)
    assert list(insecurities(lake.aws)) == []


def test_over_tls_the_bucket_refuses_plain_http_and_keeps_its_other_statements(lake, monkeypatch):
    ours = {
        "Sid": "Ours",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{lake.bucket}/bronze/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [ours]}
    lake.client.put_bucket_policy(Bucket=lake.bucket, Policy=json.dumps(policy))
    # The emulator speaks http: it stores the policy all the same.
    monkeypatch.setattr(bucket_security, "has_tls", lambda aws: True)
    assert list(insecurities(lake.aws)) == ["Its policy does not refuse plain HTTP."]
    for _ in range(2):
        ensure_bucket(lake.aws)
    stored = json.loads(lake.client.get_bucket_policy(Bucket=lake.bucket)["Policy"])
    assert [s["Sid"] for s in stored["Statement"]] == ["Ours", "TlsOnly"]
    assert list(insecurities(lake.aws)) == []


def test_only_tls_endpoints_get_the_policy_that_refuses_plain_http():
    at = AwsSettings.model_validate
    assert has_tls(at({}))
    assert has_tls(at({"endpoint_url": "https://minio.example:9000"}))
    assert not has_tls(at({"endpoint_url": "http://127.0.0.1:24566"}))
