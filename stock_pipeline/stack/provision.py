"""Makes what the pipeline expects to find: topics, bucket, catalogue, crawlers, workgroup.

Everything is made if missing and brought up to date if there, so it may run at every start.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from stock_pipeline.aws.bucket_security import secure_bucket
from stock_pipeline.aws.session import aws_client
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.kafka.clients import admin_options
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import AwsSettings, KafkaSettings, Settings

#: Kafka's default, 7 days.
SEGMENT_MS = 7 * 24 * 3_600_000
SHORTEST_SEGMENT_MS = 60_000
WAIT_FOR_TOPICS_MS = 60_000


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
    provision_aws(settings)


def provision_aws(settings: Settings) -> None:
    """Make bucket, catalogue, crawlers and workgroup.

    Raises:
        botocore.exceptions.ClientError: AWS refused.
    """
    ensure_bucket(settings.aws)
    Catalogue(settings, Lake(settings.aws)).ensure()
    ensure_workgroup(settings)


def ensure_topics(kafka: KafkaSettings, topics: dict[str, tuple[int, int]]) -> None:
    """Create missing topics and update the retention of the others.

    Args:
        kafka: The broker.
        topics: Partitions and retention in minutes by topic name. A topic that exists keeps its
            partitions.

    Raises:
        kafka.errors.KafkaError: The broker refused or did not answer, or a topic got no leader.
    """
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
    from kafka.errors import TopicAlreadyExistsError

    admin = KafkaAdminClient(**admin_options(kafka))
    try:
        existing = set(admin.list_topics())
        for topic, (partitions, retention_minutes) in topics.items():
            configs = topic_configs(retention_minutes)
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
        # Apache Kafka answers before its brokers know the topic.
        admin.wait_for_topics(sorted(topics.keys() - existing), timeout_ms=WAIT_FOR_TOPICS_MS)
    finally:
        admin.close()


def topic_configs(retention_minutes: int) -> dict[str, str]:
    """Settings of a topic that keeps records for so long.

    Brokers delete whole segments, and one that is written to stays: with the default of 7 days or
    1 GiB a segment, a retention of minutes would delete nothing.
    """
    retention_ms = retention_minutes * 60_000
    segment_ms = min(SEGMENT_MS, max(SHORTEST_SEGMENT_MS, retention_ms // 4))
    return {"retention.ms": str(retention_ms), "segment.ms": str(segment_ms)}


def ensure_bucket(aws: AwsSettings) -> None:
    """Create the lake's bucket where it is missing; encrypted, not public, TLS only.

    Raises:
        botocore.exceptions.ClientError: S3 refused, for example because the name is taken.
    """
    options: dict[str, Any] = {}
    if aws.region != "us-east-1":
        options["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
    try:
        aws_client("s3", aws).create_bucket(Bucket=aws.bucket, **options)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    secure_bucket(aws)


def ensure_crawler_role(settings: Settings) -> None:
    """Create the role that the crawlers are given, which has to be there.

    It may do nothing: the local crawler double works with the keys of the home.

    Raises:
        botocore.exceptions.ClientError: IAM refused.
    """
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "glue.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    try:
        aws_client("iam", settings.aws).create_role(
            RoleName=settings.catalog.crawler_role.rsplit("/", 1)[-1],
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise


def ensure_workgroup(settings: Settings) -> None:
    """Create the Athena workgroup, whose results go below `_athena_results/` of the bucket.

    Raises:
        botocore.exceptions.ClientError: Athena refused.
    """
    athena = aws_client("athena", settings.aws)
    name = settings.athena.workgroup
    try:
        athena.get_work_group(WorkGroup=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidRequestException":
            raise
    else:
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
