"""Settings of AWS: S3, Secrets Manager, Glue and Athena."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from stock_pipeline.settings.sections.section import Section

#: What AWS takes in the name or the ARN of a secret.
NAME_OR_ARN = r"^[A-Za-z0-9/_+=.@:-]{1,2048}$"


class AwsSettings(Section):
    """S3, Glue and Athena. Without `endpoint_url` and keys: AWS, by its default credentials.

    In the local profile an absent `endpoint_url` is 127.0.0.1 and `ports.aws`, and absent keys are
    those of its emulator, in the home folder; `Settings` fills them in.
    """

    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://[^/\s]+/?$", description="http://host:port"
    )
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    #: A profile of ~/.aws/config, for the default credential chain.
    profile: str | None = Field(default=None, min_length=1)
    #: Assumed with the credentials above, and renewed before the role's credentials expire.
    role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$",
        description="arn:aws:iam::<account>:role/<name>",
    )
    role_session_name: str = Field(
        default="stock-pipeline",
        pattern=r"^[A-Za-z0-9+=,.@_-]{2,64}$",
        description="2 to 64 letters, digits and +=,.@_-",
    )
    role_external_id: SecretStr | None = None
    request_timeout_seconds: float = Field(default=20.0, gt=0)
    bucket: str = Field(
        default="stock-pipeline-lake",
        min_length=3,
        max_length=63,
        pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
        description="lower-case letters, digits, '-' and '.'",
    )


class SecretsSettings(Section):
    """Where settings that are secret come from, besides `.env` and the environment.

    Read when the settings are loaded, with the keys or the profile of `aws`, else with AWS's
    default chain, and before any role is assumed. Never written to disk.
    """

    #: Name or ARN; its text is a JSON object such as {"kafka.security.password": "..."}.
    secret_id: str | None = Field(
        default=None,
        pattern=NAME_OR_ARN,
        description="a name or an ARN of letters, digits and /_+=.@:-",
    )
    #: The local profile asks its emulator; others ask AWS.
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://[^/\s]+/?$", description="http://host:port"
    )


class CatalogSettings(Section):
    """The Glue database and how it learns of partitions."""

    database: str = Field(
        default="stock_pipeline",
        pattern=r"^[a-z0-9_]{1,255}$",
        description="lower-case letters, digits and '_'",
    )
    method: Literal["crawler", "partitions"] = "crawler"
    crawler_role: str = "arn:aws:iam::000000000000:role/stock-pipeline-crawler"
    timeout_seconds: float = Field(default=900.0, gt=0)


class AthenaSettings(Section):
    """Where gold SQL runs again for parity."""

    workgroup: str = Field(
        default="stock_pipeline",
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="letters, digits, '.', '_' and '-'",
    )
    timeout_seconds: float = Field(default=300.0, gt=0)
    usd_per_tebibyte: float = Field(default=5.0, ge=0)
