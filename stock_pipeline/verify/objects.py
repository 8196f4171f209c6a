"""Reading lake objects for `verify`: listings with times, bodies with their digests."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from botocore.exceptions import ClientError

from stock_pipeline.lake.store import Lake, ObjectNotFoundError

#: Objects up to this size are held in memory while they are read, larger ones on disk.
IN_MEMORY_BYTES = 32 * 1024 * 1024
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Body:
    """An object's bytes.

    Attributes:
        file: At its beginning; closed with the context.
        etag: Version that was read.
        size: Bytes.
        intact: Whether the bytes have the MD5 that the ETag names; None where it names none, as
            with multipart uploads and keys of KMS.
    """

    file: IO[bytes]
    etag: str
    size: int
    intact: bool | None


def utc_now() -> datetime:
    """Now, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


@contextmanager
def body(lake: Lake, key: str) -> Iterator[Body]:
    """An object whole, large ones in a temporary file.

    Raises:
        ObjectNotFoundError: Nothing is there.
    """
    try:
        answer = lake.client.get_object(Bucket=lake.bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            raise ObjectNotFoundError(lake.uri(key)) from error
        raise
    digest, size = hashlib.md5(usedforsecurity=False), 0
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        for piece in answer["Body"].iter_chunks(_PIECE):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        file.seek(0)
        etag = str(answer["ETag"])
        named = etag.strip('"')
        is_md5 = len(named) == 32 and answer.get("ServerSideEncryption") in {None, "AES256"}
        yield Body(file, etag, size, named == digest.hexdigest() if is_md5 else None)
