"""Makes what the pipeline expects to find: topics, bucket, catalogue, crawlers, workgroup.

Everything is made if missing and brought up to date if there, so it may run at every start.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from stock_pipeline.lib.layout import bronze_prefix, quarantine_prefix, table_prefix
from stock_pipeline.lib.schemas import GOLD_TABLES, SILVER_TABLES
from stock_pipeline.resources.lake import aws_client
from stock_pipeline.settings import AwsSettings, KafkaSettings, Settings


def provision(settings: Settings) -> None:
    """Make everything that `settings` names.

    Raises:
        botocore.exceptions.ClientError: AWS refused.
        kafka.errors.KafkaError: The broker refused or did not answer.
    """
    topics = {
        feed.topic: (feed.partitions, feed.retention_minutes) for feed in settings.feeds.values()
    }
    ensure_topics(settings.kafka, topics)
    ensure_bucket(settings.aws)
    ensure_catalog(settings)
    ensure_workgroup(settings)


def ensure_topics(kafka: KafkaSettings, topics: dict[str, tuple[int, int]]) -> None:
    """Create missing topics and update the retention of the others.

    Args:
        kafka: The broker.
        topics: Partitions and retention in minutes by topic name. A topic that exists keeps its
            partitions.

    Raises:
        kafka.errors.KafkaError: The broker refused or did not answer.
    """
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
    from kafka.errors import TopicAlreadyExistsError

    admin = KafkaAdminClient(
        bootstrap_servers=kafka.bootstrap_servers,
        request_timeout_ms=int(kafka.request_timeout_seconds * 1000),
    )
    try:
        existing = set(admin.list_topics())
        for topic, (partitions, retention_minutes) in topics.items():
            configs = {"retention.ms": str(retention_minutes * 60_000)}
            if topic in existing:
                resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
                admin.alter_configs([resource])
                continue
            try:
                admin.create_topics(
                    [NewTopic(topic, partitions, replication_factor=1, topic_configs=configs)]
                )
            except TopicAlreadyExistsError:
                continue  # Someone was first.
    finally:
        admin.close()


def ensure_bucket(aws: AwsSettings) -> None:
    """Create the lake's bucket where it is missing.

    Raises:
        botocore.exceptions.ClientError: S3 refused, for example because the name is taken.
    """
    options: dict[str, Any] = {}
    if aws.region != "us-east-1":
        options["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
    _create(
        aws_client("s3", aws).create_bucket,
        {"BucketAlreadyOwnedByYou"},
        Bucket=aws.bucket,
        **options,
    )


def ensure_catalog(settings: Settings) -> None:
    """Create the Glue database and the crawlers, and bring existing crawlers up to date.

    Raises:
        botocore.exceptions.ClientError: Glue refused.
    """
    glue = aws_client("glue", settings.aws)
    already = {"AlreadyExistsException"}
    _create(glue.create_database, already, DatabaseInput={"Name": settings.catalog.database})
    if settings.catalog.method != "crawler":
        return
    for definition in crawler_definitions(settings):
        if not _create(glue.create_crawler, already, **definition):
            _create(glue.update_crawler, {"CrawlerRunningException"}, **definition)


def crawler_definitions(settings: Settings) -> list[dict[str, Any]]:
    """Arguments of create_crawler, one crawler a layer: a path and a table for each prefix."""
    feeds = list(settings.feeds)
    prefixes = {
        "bronze": [bronze_prefix(feed) for feed in feeds],
        "quarantine": [quarantine_prefix(feed) for feed in feeds],
        "silver": [table_prefix("silver", table.name) for table in SILVER_TABLES],
        "gold": [table_prefix("gold", table.name) for table in GOLD_TABLES],
    }
    # A table is a folder two levels below the bucket, which is level 1.
    grouping = {"TableLevelConfiguration": 3, "TableGroupingPolicy": "CombineCompatibleSchemas"}
    exclusions = ["_offset_log/**", "_rejected/**"]
    return [
        {
            "Name": f"stock_pipeline_{layer}",
            "Role": settings.catalog.crawler_role,
            "DatabaseName": settings.catalog.database,
            "TablePrefix": f"{layer}_",
            "Targets": {
                "S3Targets": [
                    {"Path": f"s3://{settings.aws.bucket}/{prefix}", "Exclusions": exclusions}
                    for prefix in layer_prefixes
                ]
            },
            "SchemaChangePolicy": {
                "UpdateBehavior": "UPDATE_IN_DATABASE",
                "DeleteBehavior": "LOG",
            },
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
            "Configuration": json.dumps({"Version": 1.0, "Grouping": grouping}),
        }
        for layer, layer_prefixes in prefixes.items()
    ]


def ensure_workgroup(settings: Settings) -> None:
    """Create the Athena workgroup, whose results go below `_athena_results/` of the bucket.

    Raises:
        botocore.exceptions.ClientError: Athena refused.
    """
    athena = aws_client("athena", settings.aws)
    name = settings.athena.workgroup
    if any(group["Name"] == name for group in athena.list_work_groups()["WorkGroups"]):
        return
    location = f"s3://{settings.aws.bucket}/_athena_results/"
    athena.create_work_group(
        Name=name,
        Configuration={
            "ResultConfiguration": {"OutputLocation": location},
            "EnforceWorkGroupConfiguration": True,
            "PublishCloudWatchMetricsEnabled": False,
        },
    )


def _create(create: Any, harmless: set[str], **arguments: Any) -> bool:
    """Call `create`; False where it answered with one of the `harmless` codes."""
    try:
        create(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in harmless:
            return False
        raise
    return True
