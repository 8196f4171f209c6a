"""The resources as the settings configure them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import SecretStr

from stock_pipeline.defs.connections import Connections
from stock_pipeline.defs.resources import (
    AthenaResource,
    CatalogueResource,
    KafkaResource,
    LakeResource,
    LakeS3Resource,
    QueriesResource,
    SecretsResource,
)
from stock_pipeline.settings.variables import variable


def configured_resources(connections: Connections) -> dict[str, Any]:
    """The resources of these settings, by the names that assets and sensors ask for them."""
    settings = connections.built_from
    aws, kafka, security = settings.aws, settings.kafka, settings.kafka.security
    s3 = LakeS3Resource(
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        profile_name=aws.profile,
        aws_access_key_id=_variable(aws.access_key_id, "aws", "access_key_id"),
        aws_secret_access_key=_variable(aws.secret_access_key, "aws", "secret_access_key"),
        aws_session_token=_variable(aws.session_token, "aws", "session_token"),
        role_arn=aws.role_arn,
        role_session_name=aws.role_session_name,
        role_external_id=_variable(aws.role_external_id, "aws", "role_external_id"),
        request_timeout_seconds=aws.request_timeout_seconds,
        connections=connections,
    )
    lake = LakeResource(bucket=aws.bucket, s3=s3, connections=connections)
    catalogue = CatalogueResource(**settings.catalog.model_dump(), lake=lake)
    return {
        "kafka": KafkaResource(
            bootstrap_servers=kafka.bootstrap_servers,
            request_timeout_seconds=kafka.request_timeout_seconds,
            protocol=security.protocol,
            mechanism=security.mechanism,
            username=security.username,
            password=_variable(security.password, "kafka", "security", "password"),
            ca_file=_text(security.ca_file),
            certificate_file=_text(security.certificate_file),
            key_file=_text(security.key_file),
            key_password=_variable(security.key_password, "kafka", "security", "key_password"),
            region=security.region,
            role_arn=security.role_arn,
            connections=connections,
        ),
        "s3": s3,
        "lake": lake,
        "catalogue": catalogue,
        "athena": AthenaResource(**settings.athena.model_dump(), catalogue=catalogue),
        "queries": QueriesResource(lake=lake, connections=connections),
        "secrets": SecretsResource(
            secret_id=settings.secrets.secret_id,
            endpoint_url=settings.secrets.endpoint_url,
            region_name=aws.region,
            profile_name=aws.profile,
            connections=connections,
        ),
    }


def _variable(secret: SecretStr | None, *path: str) -> dg.EnvVar | None:
    """The environment variable that holds a secret; None where it comes from elsewhere."""
    name = variable(path)
    there = secret is not None and os.environ.get(name) == secret.get_secret_value()
    return dg.EnvVar(name) if there else None


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
