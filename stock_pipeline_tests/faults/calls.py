"""Requests to S3, Glue and Athena by what they do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Call:
    """A request as a client sent it.

    Attributes:
        number: 1 for the first since the proxy was reset.
        service: s3, glue or athena.
        operation: As the AWS API calls it, such as PutObject.
        key: Of S3: the object's key, or the prefix of a listing.
    """

    number: int
    method: str
    target: str
    service: str
    operation: str
    key: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        return next((v for k, v in self.headers.items() if k.lower() == name.lower()), None)

    @property
    def writes(self) -> bool:
        """Whether the request may change the store."""
        return self.operation.startswith(
            ("Put", "Delete", "Create", "Update", "Batch", "Copy", "Complete", "Start", "Upload")
        )

    @property
    def step(self) -> str:
        """What it does, the same for every run: digits of keys are left out."""
        return f"{self.operation} {re.sub(r'[0-9a-f]{32}|[0-9]+', '#', self.key)}".strip()


def described(method: str, target: str, headers: dict[str, str]) -> tuple[str, str, str]:
    """Service, operation and key of a request, by how each service writes them."""
    names = {k.lower(): v for k, v in headers.items()}
    named = names.get("x-amz-target", "")
    if named:
        service, _, operation = named.partition(".")
        return ("athena" if "Athena" in service else "glue"), operation, ""
    parts = urlsplit(target)
    asked = parse_qs(parts.query, keep_blank_values=True)
    _, _, key = unquote(parts.path).lstrip("/").partition("/")
    if not key:
        if "list-type" in asked:
            return "s3", "ListObjectsV2", asked.get("prefix", [""])[0]
        return "s3", {"GET": "GetBucket", "HEAD": "HeadBucket"}.get(method, "CreateBucket"), ""
    if "uploads" in asked:
        operation = "CreateMultipartUpload"
    elif "uploadId" in asked:
        operation = {
            "PUT": "UploadPart",
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
        }.get(method, "ListParts")
    elif method == "PUT" and "x-amz-copy-source" in names:
        operation = "CopyObject"
    else:
        operation = f"{method.title()}Object"
    return "s3", operation, key
