"""Secrets from AWS Secrets Manager: one JSON secret whose keys are settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from stock_pipeline.settings.aws import AwsSettings
from stock_pipeline.settings.layers import SettingsError
from stock_pipeline.settings.local import PortSettings
from stock_pipeline.settings.section import Section

#: What AWS takes in the name or the ARN of a secret.
_NAME_OR_ARN = r"^[A-Za-z0-9/_+=.@:-]{1,2048}$"


class SecretsSettings(Section):
    """Where settings that are secret come from, besides `.env` and the environment.

    Read once when the settings are loaded, with the keys or the profile of `aws`, else by AWS's
    default chain, and before any role is assumed; never written to disk.
    """

    #: Name or ARN; its text is a JSON object such as {"kafka.security.password": "..."}.
    secret_id: str | None = Field(
        default=None,
        pattern=_NAME_OR_ARN,
        description="a name or an ARN of letters, digits and /_+=.@:-",
    )
    #: The local profile asks its emulator; others ask AWS.
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://[^/\s]+/?$", description="http://host:port"
    )


def read_secret(settings: Mapping[str, Any], place: str) -> dict[str, str]:
    """The secret that the settings name: value by setting; empty when they name none.

    Args:
        settings: Merged and not yet validated.
        place: Where `secrets.secret_id` was set, for errors.

    Raises:
        SettingsError: It is missing, may not be read, or is no such object.
    """
    secrets = _section(settings, "secrets")
    secret_id = secrets.get("secret_id")
    # What is wrong with another one, the validation of all settings says.
    if not isinstance(secret_id, str) or not re.fullmatch(_NAME_OR_ARN, secret_id):
        return {}
    from botocore.exceptions import BotoCoreError, ClientError

    what = f"{place}: secret {secret_id}"
    try:
        answer = _client(settings, secrets.get("endpoint_url")).get_secret_value(SecretId=secret_id)
    except ClientError as error:
        raise SettingsError(f"{what} {_reason(str(error.response['Error']['Code']))}") from None
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(
            f"{what} could not be read, since Secrets Manager did not answer "
            f"({type(error).__name__}). Check aws.region, the network and the credentials."
        ) from None
    try:
        values = json.loads(answer["SecretString"])
        items = [(str(key), _text(value)) for key, value in values.items()]
    # The text of these errors would hold the secret.
    except (KeyError, ValueError, AttributeError, RecursionError):
        raise SettingsError(
            f"{what} must be a JSON object of settings and their values, such as "
            '{"aws.access_key_id": "..."}.'
        ) from None
    return dict(items)


def _reason(code: str) -> str:
    if code == "ResourceNotFoundException":
        return "does not exist. Create it, or correct secrets.secret_id and aws.region."
    if code in {"AccessDeniedException", "AccessDenied"}:
        return f"may not be read ({code}). Allow secretsmanager:GetSecretValue on it."
    return f"could not be read ({code}). Check the credentials of this process."


def _client(settings: Mapping[str, Any], endpoint_url: Any) -> Any:
    import botocore.session
    from botocore.config import Config

    aws, local = _section(settings, "aws"), settings.get("profile", "local") == "local"
    if local and not endpoint_url:
        port = _section(settings, "ports").get("aws", PortSettings().aws)
        endpoint_url = aws.get("endpoint_url") or f"http://127.0.0.1:{port}"
    names = ("access_key_id", "secret_access_key", "session_token")
    keys = {f"aws_{name}": str(aws[name]) for name in names if aws.get(name)}
    if local:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} | keys
    return botocore.session.Session(profile=aws.get("profile")).create_client(
        "secretsmanager",
        region_name=aws.get("region", AwsSettings().region),
        endpoint_url=endpoint_url,
        config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3}),
        **keys,
    )


def _section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = settings.get(name)
    return section if isinstance(section, Mapping) else {}


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        raise ValueError
    return str(value).lower() if isinstance(value, bool) else str(value)
