from __future__ import annotations

from stock_pipeline.resources.aws_session import aws_client
from stock_pipeline.stack.provision import provision, topic_configs


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


def test_a_changed_retention_reaches_an_existing_topic(broker, settings_for):
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    topic = settings_for({"t": {"format": "trade", "retention_minutes": 5}}).feeds["t"].topic

    settings_for({"t": {"format": "trade", "retention_minutes": 7}})

    admin = KafkaAdminClient(bootstrap_servers=broker)
    answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    admin.close()
    assert answer["topic"][topic]["retention.ms"]["value"] == str(7 * 60_000)


def test_segments_are_short_enough_for_the_retention_to_delete_any():
    assert topic_configs(20) == {"retention.ms": "1200000", "segment.ms": "300000"}
    assert topic_configs(1)["segment.ms"] == "60000"
    assert topic_configs(365 * 24 * 60)["segment.ms"] == str(7 * 24 * 3_600_000)
