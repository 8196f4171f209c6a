"""The lake's object store: conditional writes and Parquet reads over S3."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from stock_pipeline.aws.session import aws_client
from stock_pipeline.errors import InternalError, TemporaryError, UserError
from stock_pipeline.lake.files import lake_files
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.settings import AwsSettings

#: Seconds between tries of a conditional PUT while S3 says that another one is under way.
CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
#: Read at once from the end: enough for every footer but those of objects with thousands of row
#: groups or symbols.
FOOTER_BYTES = 64 * 1024
_BROKEN_OFF = (IncompleteReadError, ResponseStreamingError, ProtocolError)
#: What pyarrow raises when bytes in memory are not Parquet, or are damaged.
UNREADABLE = (pa.ArrowException, OSError, ValueError)


class PreconditionFailedError(TemporaryError):
    """Another writer was first: the object exists, or has another version than was read."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"Another writer was first at {uri}; what it wrote stands.")


class ObjectNotFoundError(InternalError):
    """There is no object at that key.

    Whoever expects that catches it: it ends a run or a command only where one must be there.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(f"There is no object {uri}.")


class DamagedObjectError(UserError):
    """What lies at that key is no Parquet, or was damaged."""

    def __init__(self, uri: str, error: Exception) -> None:
        super().__init__(
            f"{uri} cannot be read as Parquet ({str(error).splitlines()[0]}); it stays as it is. "
            "What depends on it, and what to do: stock-pipeline verify"
        )


@dataclass(frozen=True)
class ObjectEntry:
    """One line of a listing.

    Attributes:
        key: Key.
        etag: Version.
        size: Bytes.
        modified: When it was written, naive UTC by the store's clock.
    """

    key: str
    etag: str
    size: int
    modified: datetime


class Lake:
    """The bucket, by key.

    Every method raises botocore's ClientError or a connection error when the store cannot be
    reached or refuses; "not there" and "someone was first" have exceptions of their own.
    """

    def __init__(self, aws: AwsSettings) -> None:
        self.aws = aws
        self.bucket = aws.bucket

    @cached_property
    def client(self) -> Any:
        """The boto3 S3 client."""
        return aws_client("s3", self.aws)

    @cached_property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        """The same store as a pyarrow file system for reading; paths begin with the bucket."""
        return lake_files(self.aws)

    def uri(self, key: str) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, body: bytes | IO[bytes]) -> str:
        """Write unconditionally; returns the ETag."""
        return str(self.client.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"])

    def put_if_absent(self, key: str, body: bytes | IO[bytes]) -> str:
        """Write where nothing is; returns the ETag.

        Raises:
            PreconditionFailedError: An object is already there.
        """
        return self._put_conditionally(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes | IO[bytes], etag: str | None) -> str:
        """Compare-and-swap: write over the version `etag`, or where nothing is when None.

        Raises:
            PreconditionFailedError: The object is another version by now.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        return self._put_conditionally(key, body, **condition)

    def _put_conditionally(self, key: str, body: bytes | IO[bytes], **condition: str) -> str:
        for pause in (*CONFLICT_PAUSES, None):
            try:
                answer = self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)
            except ClientError as error:
                # 404: the object of an If-Match no longer exists.
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status == 412 or error.response["Error"]["Code"] == "NoSuchKey":
                    raise PreconditionFailedError(self.uri(key)) from error
                # 409: another conditional write was under way. It may have failed, so only a second
                # try tells whether there is an object.
                if status != 409 or pause is None:
                    raise
                time.sleep(pause)
                if not isinstance(body, bytes):
                    body.seek(0)
            else:
                return str(answer["ETag"])
        raise AssertionError("the last try returns or raises")

    def get(self, key: str, **condition: str) -> tuple[bytes, str]:
        """Read a whole object and its ETag.

        Args:
            key: Which object.
            condition: `Range` for a part of it, `IfMatch` for one version of it.

        Raises:
            ObjectNotFoundError: Nothing is there.
            PreconditionFailedError: It is another version by now.
        """
        for last_try in (False, False, True):
            try:
                answer = self._open(key, condition)
                return answer["Body"].read(), str(answer["ETag"])
            except _BROKEN_OFF as error:
                # botocore does not retry once a body has begun, not even the body of an error.
                if last_try:
                    raise ResponseStreamingError(error=error) from error
        raise AssertionError("the last try returns or raises")

    def _open(self, key: str, condition: Mapping[str, str]) -> Any:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key, **condition)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                raise PreconditionFailedError(self.uri(key)) from error
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                raise ObjectNotFoundError(self.uri(key)) from error
            raise

    def head(self, key: str) -> ObjectEntry | None:
        """Size and ETag, or None where nothing is."""
        try:
            answer = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return ObjectEntry(
            key, str(answer["ETag"]), int(answer["ContentLength"]), _naive(answer["LastModified"])
        )

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectEntry]:
        """Objects below a prefix in key order, from the first key greater than `after`.

        Markers of folders, which consoles put there, are left out.
        """
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, **({"StartAfter": after} if after else {})
        )
        for page in pages:
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    modified = _naive(entry["LastModified"])
                    yield ObjectEntry(entry["Key"], entry["ETag"], entry["Size"], modified)

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the store; only for targets that always get the same bytes.

        Raises:
            ObjectNotFoundError: Nothing is at `source`.
        """
        try:
            self.client.copy_object(
                Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": source}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                raise ObjectNotFoundError(self.uri(source)) from error
            raise

    def delete(self, key: str) -> None:
        """Remove an object; no error where nothing is."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def read_table(self, key: str) -> tuple[pa.Table, str]:
        """Read a whole Parquet object and its ETag: one GET, so never parts of two versions.

        Raises:
            ObjectNotFoundError: Nothing is there.
            DamagedObjectError: What is there cannot be read.
        """
        body, etag = self.get(key)
        try:
            return pq.read_table(io.BytesIO(body), partitioning=None), etag
        except UNREADABLE as error:
            raise DamagedObjectError(self.uri(key), error) from error

    def open(self, key: str) -> IO[bytes]:
        """A file-like object that reads ranges as they are asked for.

        Raises:
            ObjectNotFoundError: Nothing is there.
        """
        try:
            file: IO[bytes] = self.filesystem.open_input_file(f"{self.bucket}/{key}")
        except FileNotFoundError as error:
            raise ObjectNotFoundError(self.uri(key)) from error
        return file

    def read_footer(self, key: str) -> bytes | None:
        """The value under our key in a Parquet object's footer.

        Raises:
            ObjectNotFoundError: Nothing is there.
            DamagedObjectError: What is there cannot be read.
        """
        value = (self.parquet_metadata(key).metadata or {}).get(FOOTER_KEY)
        return bytes(value) if value is not None else None

    def parquet_metadata(self, key: str) -> pq.FileMetaData:
        """Footer of a Parquet object, of one version even while the object is being replaced.

        A file system would ask for the size first, and could then read the end of another version.

        Raises:
            ObjectNotFoundError: Nothing is there.
            DamagedObjectError: What is there cannot be read.
        """
        length, condition = FOOTER_BYTES, dict[str, str]()
        while True:
            try:
                tail, etag = self.get(key, Range=f"bytes=-{length}", **condition)
            except PreconditionFailedError:
                length, condition = FOOTER_BYTES, {}
                continue
            # Parquet ends with the footer, the footer's length in four bytes, and PAR1.
            needed = int.from_bytes(tail[-8:-4], "little") + 8
            if len(tail) < needed and len(tail) == length and tail.endswith(b"PAR1"):
                length, condition = needed, {"IfMatch": etag}
                continue
            try:
                return pq.read_metadata(io.BytesIO(tail))
            except UNREADABLE as error:
                raise DamagedObjectError(self.uri(key), error) from error


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)
