"""Settings of S3, Glue and Athena: address, credentials, bucket."""

from __future__ import annotations

from pydantic import Field, SecretStr

from stock_pipeline.settings.section import Section


class AwsSettings(Section):
    """S3, Glue and Athena. Without `endpoint_url` and keys: AWS, by its default credentials.

    In the local profile an absent `endpoint_url` is 127.0.0.1 and `ports.aws`, and absent keys are
    `local`; `Settings` fills them in.
    """

    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://[^/\s]+/?$", description="http://host:port"
    )
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    #: A profile of ~/.aws/config for the default chain.
    profile: str | None = Field(default=None, min_length=1)
    #: Assumed with the credentials above, and again before its own expire.
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
