"""Secrets from AWS Secrets Manager: one JSON secret whose keys are settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stock_pipeline.settings.emulator_keys import emulator_keys
from stock_pipeline.settings.errors import SettingsError
from stock_pipeline.settings.sections.aws import NAME_OR_ARN, AwsSettings
from stock_pipeline.settings.sections.local import PortSettings
from stock_pipeline.settings.variables import Variable


def named_secret(settings: Mapping[str, Any]) -> str | None:
    """The secret that settings name, merged and not yet validated; None where they name none."""
    secret_id = _section(settings, "secrets").get("secret_id")
    # What is wrong with another one, the validation of all settings says.
    named = isinstance(secret_id, str) and re.fullmatch(NAME_OR_ARN, secret_id)
    return secret_id if named else None


def read_secret(
    secret_id: str, settings: Mapping[str, Any], place: str, home: Path
) -> list[Variable]:
    """The settings that a secret sets.

    Args:
        secret_id: Name or ARN.
        settings: Merged and not yet validated: where Secrets Manager is, and the credentials.
        place: Where `secrets.secret_id` was set, for errors.
        home: Folder of local state, which holds the keys of the local emulator.

    Raises:
        SettingsError: It is missing, may not be read, or is no JSON object of settings.
    """
    # Here, since it takes 0.4 s, as long as all settings, and most users have no secret.
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    what = f"{place}: secret {secret_id}"
    try:
        profile, options = _client_options(settings, home)
        client = botocore.session.Session(profile=profile).create_client(
            "secretsmanager",
            config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3}),
            **options,
        )
        answer = client.get_secret_value(SecretId=secret_id)
    except ClientError as error:
        raise SettingsError(f"{what} {_reason(str(error.response['Error']['Code']))}") from None
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(
            f"{what} could not be read, since Secrets Manager did not answer "
            f"({type(error).__name__}). Check aws.region, the network and the credentials."
        ) from None
    try:
        values = json.loads(answer["SecretString"])
        return [
            Variable(key.lower().split("."), _text(value), f"Secrets Manager ({key})")
            for key, value in values.items()
        ]
    # The text of these errors would hold the secret.
    except (KeyError, ValueError, AttributeError, RecursionError):
        raise SettingsError(
            f"{what} must be a JSON object of settings and their values, such as "
            '{"aws.access_key_id": "..."}.'
        ) from None


def _reason(code: str) -> str:
    if code == "ResourceNotFoundException":
        return "does not exist. Create it, or correct secrets.secret_id and aws.region."
    if code in {"AccessDeniedException", "AccessDenied"}:
        return f"may not be read ({code}). Allow secretsmanager:GetSecretValue on it."
    return f"could not be read ({code}). Check the credentials of this process."


def _client_options(settings: Mapping[str, Any], home: Path) -> tuple[Any, dict[str, Any]]:
    """The profile of ~/.aws/config, and where Secrets Manager is and by which keys."""
    aws, local = _section(settings, "aws"), settings.get("profile", "local") == "local"
    endpoint_url = _section(settings, "secrets").get("endpoint_url")
    if local and not endpoint_url:
        port = _section(settings, "ports").get("aws", PortSettings().aws)
        endpoint_url = aws.get("endpoint_url") or f"http://127.0.0.1:{port}"
    names = ("access_key_id", "secret_access_key", "session_token")
    keys = {f"aws_{name}": str(aws[name]) for name in names if aws.get(name)}
    if local:
        found = emulator_keys(home)
        keys = {
            "aws_access_key_id": found.access_key_id,
            "aws_secret_access_key": found.secret_access_key,
        } | keys
    region = aws.get("region", AwsSettings().region)
    return aws.get("profile"), {"region_name": region, "endpoint_url": endpoint_url, **keys}


def _section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = settings.get(name)
    return section if isinstance(section, Mapping) else {}


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        raise ValueError
    return str(value).lower() if isinstance(value, bool) else str(value)
