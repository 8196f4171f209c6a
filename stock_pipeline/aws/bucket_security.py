"""Makes and checks a bucket that encrypts, is not public and answers over TLS only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from stock_pipeline.aws.session import aws_client
from stock_pipeline.settings import AwsSettings

#: Error codes of a store that lacks the request. MinIO and SeaweedFS lack some of the three.
NOT_KNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
#: Error codes of a bucket for which nothing was set.
NOT_SET = frozenset(
    {
        "NoSuchBucketPolicy",
        "NoSuchPublicAccessBlockConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
TLS_ONLY = "TlsOnly"
_BLOCKS = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def has_tls(aws: AwsSettings) -> bool:
    """Whether requests are encrypted: always to AWS, else if the endpoint is https."""
    return urlsplit(aws.endpoint_url or "https://").scheme == "https"


def secure_bucket(aws: AwsSettings) -> None:
    """Encrypt, block public access, refuse plain HTTP; other statements of its policy stay.

    A setting that the store does not support is left out; `insecurities` names it.

    Raises:
        botocore.exceptions.ClientError: S3 refused.
    """
    client, bucket = aws_client("s3", aws), aws.bucket
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    # Encryption with a key of the user's own (SSE-KMS) stays.
    if not _asked(client.get_bucket_encryption, bucket):
        _tried(
            client.put_bucket_encryption,
            Bucket=bucket,
            ServerSideEncryptionConfiguration=encryption,
        )
    _tried(client.put_public_access_block, Bucket=bucket, PublicAccessBlockConfiguration=_BLOCKS)
    # On an http endpoint, such as the local emulator's, this policy would lock everybody out,
    # ourselves included.
    if has_tls(aws):
        policy = _policy(client, bucket)
        policy["Statement"] = [s for s in policy["Statement"] if s.get("Sid") != TLS_ONLY]
        policy["Statement"].append(_tls_only(client.meta.partition, bucket))
        _tried(client.put_bucket_policy, Bucket=bucket, Policy=json.dumps(policy))


def insecurities(aws: AwsSettings) -> Iterator[str]:
    """One sentence for each of the three settings that the bucket lacks.

    Raises:
        botocore.exceptions.ClientError: The settings of the bucket may not be read.
    """
    client, bucket = aws_client("s3", aws), aws.bucket
    if not _asked(client.get_bucket_encryption, bucket).get("ServerSideEncryptionConfiguration"):
        yield "It does not encrypt by default."
    blocks = _asked(client.get_public_access_block, bucket)
    if not all(blocks.get("PublicAccessBlockConfiguration", {}).get(name) for name in _BLOCKS):
        yield "Public access is not blocked."
    if not has_tls(aws):
        host = urlsplit(aws.endpoint_url or "").hostname or ""
        if host not in {"127.0.0.1", "localhost", "::1"}:
            yield f"Requests to {aws.endpoint_url} travel unencrypted."
    elif not any(_denies_plain_http(s) for s in _policy(client, bucket)["Statement"]):
        yield "Its policy does not refuse plain HTTP."


def _asked(ask: Any, bucket: str) -> dict[str, Any]:
    """The answer; empty where nothing is set or the store does not know the request."""
    try:
        answer: dict[str, Any] = ask(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_SET | NOT_KNOWN:
            return {}
        raise
    return answer


def _tried(put: Any, **arguments: Any) -> None:
    try:
        put(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in NOT_KNOWN:
            raise


def _policy(client: Any, bucket: str) -> dict[str, Any]:
    text = _asked(client.get_bucket_policy, bucket).get("Policy")
    policy: dict[str, Any] = json.loads(text) if text else {"Version": "2012-10-17"}
    statements = policy.get("Statement", [])
    policy["Statement"] = statements if isinstance(statements, list) else [statements]
    return policy


def _tls_only(partition: str, bucket: str) -> dict[str, Any]:
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Sid": TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _denies_plain_http(statement: dict[str, Any]) -> bool:
    asked = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement.get("Effect") == "Deny" and str(asked).lower() == "false"
