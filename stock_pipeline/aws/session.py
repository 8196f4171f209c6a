"""AWS clients: whose credentials they use, how these are renewed, and what an error is about.

Credentials come from the settings' keys, else from AWS's default chain (environment, profile, web
identity, container, instance). With `aws.role_arn` they then assume that role. A request that was
refused because they have expired or were replaced is signed once more with renewed ones. So neither
a long batch nor a process that lives for months needs a restart.
"""

from __future__ import annotations

import threading
from functools import cache, partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError

from stock_pipeline.settings import AwsSettings, get_settings, load_settings

#: Error codes of credentials that have expired or were replaced.
REFUSED_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
#: The answer to a HEAD has no body with a code, only a status.
_UNEXPLAINED = frozenset({"400", "403"})
_GENERATION = "stock_pipeline_credentials"
_RESOURCE = "stock_pipeline_resource"

_lock = threading.RLock()


class RenewableCredentials(Credentials):  # type: ignore[misc]
    """Credentials that are looked up at first use and can be looked up again.

    Attributes:
        generation: Grows each time they are looked up again.
    """

    def __init__(self, aws: AwsSettings) -> None:
        super().__init__("", "", method="stock-pipeline")
        self.generation = 0
        self._aws = aws
        self._found: Credentials | None = None

    def get_frozen_credentials(self) -> Any:
        """The current key, secret and token; those of an assumed role are refreshed ahead of time.

        Raises:
            NoCredentialsError: Neither the settings nor AWS's chain has any.
            ClientError: STS refused the role.
        """
        with _lock:
            if self._found is None:
                self._found = _find(self._aws)
            found = self._found
        return found.get_frozen_credentials()

    def renew(self, refused: int) -> bool:
        """Look them up again, unless that was done since generation `refused`.

        Returns:
            Whether they now differ from those that were refused.
        """
        with _lock:
            if refused != self.generation:
                return True
            before = self.get_frozen_credentials()
            renewed = _find(_renewed(self._aws))
            if renewed.get_frozen_credentials() == before:
                return False
            self._found = renewed
            self.generation += 1
            return True


def aws_client(service: str, aws: AwsSettings) -> Any:
    """A client of an AWS service: the emulator where `endpoint_url` is set, else AWS.

    botocore retries, with five attempts in all. A PUT that it repeats after a lost answer may meet
    its own object; callers of a conditional PUT read the object back to find out. The `Error` in a
    ClientError's response also has `Service` and `Resource`, for `aws/errors.py`.
    """
    session, credentials = _session(aws)
    with _lock:
        client = _create(session, aws, service)
    events, service_id = client.meta.events, client.meta.service_model.service_id.hyphenize()
    events.register(f"before-sign.{service_id}", partial(_remember, credentials))
    events.register(f"needs-retry.{service_id}", partial(_retry_renewed, credentials))
    return client


def credentials_of(aws: AwsSettings) -> RenewableCredentials:
    """The credentials that all clients of these settings share."""
    return _session(aws)[1]


def refused_credentials(code: str) -> bool:
    """Whether an error code says that the credentials themselves were refused."""
    return code in REFUSED_CREDENTIALS


@cache
def _session(aws: AwsSettings) -> tuple[Any, RenewableCredentials]:
    credentials = RenewableCredentials(aws)

    class Provider(CredentialProvider):  # type: ignore[misc]
        METHOD = CANONICAL_NAME = "stock-pipeline"

        def load(self) -> Credentials:
            return credentials

    session = botocore.session.Session(profile=aws.profile)
    session.register_component("credential_provider", CredentialResolver([Provider()]))
    return session, credentials


def _create(session: Any, aws: AwsSettings, service: str, **keys: Any) -> Any:
    client = session.create_client(
        service,
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        config=Config(
            connect_timeout=5,
            read_timeout=aws.request_timeout_seconds,
            retries={"total_max_attempts": 5, "mode": "standard"},
            s3={"addressing_style": "path" if aws.endpoint_url else "auto"},
        ),
        **keys,
    )
    service_id = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"provide-client-params.{service_id}", _note_resource)
    client.meta.events.register(f"after-call.{service_id}", _name_resource)
    return client


def _find(aws: AwsSettings) -> Credentials:
    session = botocore.session.Session(profile=aws.profile)
    if aws.access_key_id and aws.secret_access_key:
        token = aws.session_token
        found = Credentials(
            aws.access_key_id.get_secret_value(),
            aws.secret_access_key.get_secret_value(),
            token.get_secret_value() if token else None,
        )
    else:
        found = session.get_credentials()
    if found is None:
        raise NoCredentialsError
    if not aws.role_arn:
        return found
    role = {"RoleSessionName": aws.role_session_name}
    if aws.role_external_id:
        role["ExternalId"] = aws.role_external_id.get_secret_value()

    def sts(service: str, **keys: Any) -> Any:
        keys.pop("config", None)
        return _create(session, aws, service, **keys)

    fetcher = AssumeRoleCredentialFetcher(sts, found, aws.role_arn, extra_args=role)
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _renewed(aws: AwsSettings) -> AwsSettings:
    """The same settings with the keys that .env or Secrets Manager hold now."""
    if not aws.access_key_id or get_settings().aws != aws:
        return aws
    now = load_settings().aws
    keys = ("access_key_id", "secret_access_key", "session_token")
    return aws.model_copy(update={key: getattr(now, key) for key in keys})


def _remember(credentials: RenewableCredentials, request: Any, **_: Any) -> None:
    request.context[_GENERATION] = credentials.generation


def _retry_renewed(
    credentials: RenewableCredentials,
    response: Any,
    request_dict: dict[str, Any],
    operation: Any,
    **_: Any,
) -> float | None:
    """Seconds until botocore signs and sends the request again; None leaves it to botocore."""
    if response is None or response[0].status_code not in {400, 401, 403}:
        return None
    code = str(response[1].get("Error", {}).get("Code", ""))
    unexplained = operation.http["method"] == "HEAD" and code in _UNEXPLAINED
    context = request_dict["context"]
    if not (unexplained or refused_credentials(code)) or context.get("stock_pipeline_renewed"):
        return None
    context["stock_pipeline_renewed"] = True
    return 0.0 if credentials.renew(context.get(_GENERATION, credentials.generation)) else None


def _note_resource(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_RESOURCE] = resource_of(params)


def _name_resource(parsed: dict[str, Any], context: dict[str, Any], model: Any, **_: Any) -> None:
    if "Error" in parsed:
        parsed["Error"]["Service"] = model.service_model.signing_name
        if context.get(_RESOURCE):
            parsed["Error"]["Resource"] = context[_RESOURCE]


def resource_of(params: dict[str, Any]) -> str:
    """What a request is about, by its parameters: an object, a table, a workgroup, a crawler."""
    if bucket := params.get("Bucket"):
        return f"s3://{bucket}/{params.get('Key', params.get('Prefix', ''))}"
    names = ("DatabaseName", "TableName", "WorkGroup", "Name", "RoleArn", "QueryExecutionId")
    return ".".join(str(params[name]) for name in names if isinstance(params.get(name), str))
