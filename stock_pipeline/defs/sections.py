"""Fields of a resource as values of a section of the settings."""

from __future__ import annotations

from pathlib import Path

from dagster_aws.s3 import S3Resource
from pydantic import SecretStr

from stock_pipeline.settings import AwsSettings


def aws_section(s3: S3Resource, bucket: str | None) -> AwsSettings:
    """The section `aws` as Dagster's S3 resource configures it.

    Args:
        s3: Address, region and keys; without keys, AWS's default chain finds them.
        bucket: The lake's; the section's default when left out.
    """
    named = {"bucket": bucket} if bucket else {}
    return AwsSettings(
        endpoint_url=s3.endpoint_url,
        region=s3.region_name or AwsSettings().region,
        profile=s3.profile_name,
        access_key_id=as_secret(s3.aws_access_key_id),
        secret_access_key=as_secret(s3.aws_secret_access_key),
        session_token=as_secret(s3.aws_session_token),
        **named,
    )


def as_secret(text: str | None) -> SecretStr | None:
    """A secret of a resource's field, which is text; None where it is not set."""
    return SecretStr(text) if text else None


def as_path(text: str | None) -> Path | None:
    """A file of a resource's field, which is text; None where it is not set."""
    return Path(text) if text else None
