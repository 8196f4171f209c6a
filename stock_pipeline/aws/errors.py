"""What AWS refused, in one sentence: the action, the resource, the caller, and what to do."""

from __future__ import annotations

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from stock_pipeline.aws.session import refused_credentials

#: All that a client of AWS raises.
AWS_ERRORS = (BotoCoreError, ClientError)

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
_NO_BUCKET = {"NoSuchBucket"}
_ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_PRINCIPAL = re.compile(r"User: (\S+) is not authorized")
#: Operations whose permission has another name.
_PERMISSIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "UploadPart": "PutObject",
}


def aws_sentence(error: Exception, consequence: str) -> str:
    """One paragraph: what went wrong, what happened to the data, and what to do.

    Args:
        error: Of `AWS_ERRORS`, or an OSError of a file system.
        consequence: What happened to the data, as a clause such as `nothing was planned or lost`.
    """
    if isinstance(error, ClientError):
        return _refusal(error, consequence)
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, ProfileNotFound)):
        return (
            f"No AWS credentials could be used ({error}); {consequence}. Set "
            "STOCK_PIPELINE__AWS__ACCESS_KEY_ID and __SECRET_ACCESS_KEY in .env, or give this "
            "process a profile or a role."
        )
    detail = str(error).split("\n", 1)[0].rstrip(".")
    return (
        f"AWS cannot be reached or does not answer ({detail}); {consequence}. It is tried again; "
        "what to check: stock-pipeline doctor"
    )


def _refusal(error: ClientError, consequence: str) -> str:
    details = error.response.get("Error", {})
    code = str(details.get("Code", "")) or "no code"
    message = str(details.get("Message", ""))
    action = action_of(error)
    resource = f" on {details['Resource']}" if details.get("Resource") else ""
    if refused_credentials(code):
        return (
            f"AWS does not accept the credentials for {action}{resource} ({code}); {consequence}. "
            "Renew the keys where they come from (.env, Secrets Manager, profile or role); nothing "
            "needs a restart."
        )
    if code in _DENIED:
        found = _PRINCIPAL.search(message)
        whom = f" to {found[1]}" if found else ""
        return (
            f"AWS does not allow {action}{resource}{whom} ({code}); {consequence}. Allow it (the "
            "least that each part needs: stock-pipeline iam); nothing needs a restart."
        )
    if code in _NO_BUCKET:
        return (
            f"There is no bucket for {action}{resource} ({code}); {consequence}. Create it, or "
            "correct aws.bucket."
        )
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
    tries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) + 1
    said = message.split("\n", 1)[0].rstrip(".")
    return (
        f"AWS answered {action}{resource} with {code} (status {status}, tried {tries} times"
        f"{f': {said}' if said else ''}); {consequence}. It is tried again; what to check: "
        "stock-pipeline doctor"
    )


def action_of(error: ClientError) -> str:
    """The permission that the refused request needs, such as `s3:PutObject`."""
    details = error.response.get("Error", {})
    if found := _ACTION.search(str(details.get("Message", ""))):
        return found[1]
    operation = _PERMISSIONS.get(error.operation_name, error.operation_name)
    return f"{details['Service']}:{operation}" if details.get("Service") else operation
