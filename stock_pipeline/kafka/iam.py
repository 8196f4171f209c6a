"""AWS MSK IAM: a signed URL in the place of a password, for both Kafka clients.

The token is one of SASL OAUTHBEARER: the URL `https://kafka.<region>.amazonaws.com/` with the
action `kafka-cluster:Connect`, signed by SigV4 in its query string for 900 s, in URL-safe base64
without padding. AWS's package `aws-msk-iam-sasl-signer-python` makes it from our credentials, which
are AWS's default ones or those of a role, and are renewed before they expire.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from botocore.credentials import CredentialProvider
from botocore.exceptions import BotoCoreError, ClientError

from stock_pipeline.aws.session import credentials_of
from stock_pipeline.kafka.errors import KafkaAccessError
from stock_pipeline.settings import AwsSettings, KafkaSecurity

LIFETIME_SECONDS = 900.0


class IamToken:
    """The token of one region and role; replaced when half of its lifetime is over.

    Brokers end a session when its token expires, and clients authenticate again shortly before. The
    token that they get then must still be valid for a while.
    """

    def __init__(self, region: str, role_arn: str | None) -> None:
        self.region = region
        self.role_arn = role_arn
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at = 0.0

    def get(self) -> tuple[str, float]:
        """The token, and the Unix time in seconds when it expires.

        Raises:
            KafkaAccessError: AWS gives no credentials, or not those of the role.
        """
        with self._lock:
            if self._expires_at - time.time() < LIFETIME_SECONDS / 2:
                self._token, self._expires_at = self._signed()
            return self._token, self._expires_at

    def _signed(self) -> tuple[str, float]:
        from aws_msk_iam_sasl_signer.MSKAuthTokenProvider import (
            generate_auth_token_from_credentials_provider,
        )

        who = self.role_arn or "AWS's default credentials"
        try:
            token, expires_at_ms = generate_auth_token_from_credentials_provider(
                self.region, _Frozen(AwsSettings(region=self.region, role_arn=self.role_arn))
            )
        except (BotoCoreError, ClientError) as error:
            raise KafkaAccessError(
                f"Kafka is not asked: AWS_MSK_IAM cannot sign as {who} ({error})",
                "Check them with `aws sts get-caller-identity`, and kafka.security.role_arn.",
            ) from None
        return str(token), expires_at_ms / 1000


class _Frozen(CredentialProvider):  # type: ignore[misc]
    """Key, secret and session token, taken together: a signature must not mix two sets."""

    METHOD = CANONICAL_NAME = "stock-pipeline-kafka"

    def __init__(self, aws: AwsSettings) -> None:
        super().__init__()
        self._aws = aws

    def load(self) -> Any:

        return credentials_of(self._aws).get_frozen_credentials()


def token_provider(security: KafkaSecurity) -> Any:
    """The token provider for kafka-python.

    Raises:
        KafkaAccessError: There is no token. Found out here, where the caller sees the error.
    """
    from kafka.net.sasl.oauth import AbstractTokenProvider

    token = _token_of(security)
    token.get()

    class Provider(AbstractTokenProvider):  # type: ignore[misc]
        def token(self) -> str:
            return token.get()[0]

    return Provider()


def token_callback(security: KafkaSecurity) -> Callable[[str], tuple[str, float]]:
    """The token callback for librdkafka, which calls it again after 80 % of a token's lifetime.

    Raises:
        KafkaAccessError: There is no token. Found out here, where the caller sees the error.
    """
    token = _token_of(security)
    token.get()
    return lambda _config: token.get()


@cache
def _shared(region: str, role_arn: str | None) -> IamToken:
    return IamToken(region, role_arn)


def _token_of(security: KafkaSecurity) -> IamToken:
    return _shared(security.region or "", security.role_arn)
