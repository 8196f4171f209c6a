"""The lake as a pyarrow file system that always uses the current credentials of our clients."""

from __future__ import annotations

import re
import threading
from typing import Any

import pyarrow as pa
import pyarrow.fs
from botocore.exceptions import ClientError

from stock_pipeline.aws.session import (
    RenewableCredentials,
    aws_client,
    credentials_of,
    refused_credentials,
)
from stock_pipeline.settings import AwsSettings

#: How pyarrow reports a refused request. The answer to a HEAD has a status and no code.
_REFUSAL = re.compile(
    r"AWS Error (?P<code>\w+)( \(HTTP status (?P<status>\d+)\))? during (?P<operation>\w+)"
)
_CODES = {
    "ACCESS_DENIED": "AccessDenied",
    "EXPIRED_TOKEN": "ExpiredToken",
    "INVALID_ACCESS_KEY_ID": "InvalidAccessKeyId",
    "INVALID_CLIENT_TOKEN_ID": "InvalidClientTokenId",
    "INVALID_SIGNATURE": "SignatureDoesNotMatch",
    "REQUEST_EXPIRED": "RequestExpired",
    "SIGNATURE_DOES_NOT_MATCH": "SignatureDoesNotMatch",
    "UNRECOGNIZED_CLIENT": "UnrecognizedClientException",
}


def lake_files(aws: AwsSettings) -> pyarrow.fs.FileSystem:
    """The store as a read-only file system; paths begin with the bucket.

    pyarrow's own file system keeps the credentials with which it was made. This one opens each file
    with the current ones. They are renewed at least ten minutes before they expire, and reading a
    file takes less. A refusal by S3 is a ClientError, as from the other clients. A missing object
    is a FileNotFoundError.
    """
    return pyarrow.fs.PyFileSystem(_LakeFiles(aws))


def native_lake_files(aws: AwsSettings) -> pyarrow.fs.FileSystem:
    """The file system of pyarrow itself with the current credentials, for reads of some minutes.

    Its threads call no Python. A query that stops early, such as one with LIMIT, leaves threads
    that still open files, and even a full read leaves one that closes its file. With `lake_files`
    these threads waited for an interpreter that was ending: the C++ runtime aborted 6 of 50 such
    processes, and one of 16 that had read one file whole.
    """
    return _LakeFiles(aws).native()


class _LakeFiles(pyarrow.fs.FileSystemHandler):  # type: ignore[misc]
    def __init__(self, aws: AwsSettings) -> None:
        self._aws = aws
        self._endpoint = str(aws_client("s3", aws).meta.endpoint_url)
        self._credentials: RenewableCredentials = credentials_of(aws)
        self._made: tuple[Any, pyarrow.fs.FileSystem] | None = None
        self._lock = threading.Lock()

    def native(self) -> pyarrow.fs.FileSystem:
        keys = self._credentials.get_frozen_credentials()
        with self._lock:
            if self._made is None or self._made[0] != keys:
                self._made = (keys, self._make(keys))
            return self._made[1]

    def _make(self, keys: Any) -> pyarrow.fs.FileSystem:
        options: dict[str, Any] = {"region": self._aws.region}
        scheme, _, host = self._endpoint.partition("://")
        if not host.endswith(("amazonaws.com", "amazonaws.com.cn")):
            options |= {"endpoint_override": host, "scheme": scheme}
        return pyarrow.fs.S3FileSystem(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            session_token=keys.token,
            **options,
        )

    def _with_renewal(self, ask: Any, paths: Any) -> Any:
        generation = self._credentials.generation
        try:
            return ask(self.native())
        except OSError as error:
            refusal = _client_error(error, str(paths))
            if refusal is None:
                raise
            code = refusal.response["Error"]["Code"]
            # The answer to a HEAD has no body. Only a second try tells whether the permission is
            # missing or the credentials have expired.
            unexplained = refusal.operation_name == "HeadObject"
            if not (unexplained or refused_credentials(code)):
                raise refusal from error
            if not self._credentials.renew(generation):
                raise refusal from error
        try:
            return ask(self.native())
        except OSError as error:
            raise (_client_error(error, str(paths)) or error) from error

    def get_type_name(self) -> str:
        return "s3"

    def get_file_info(self, paths: list[str]) -> list[pyarrow.fs.FileInfo]:
        return list(self._with_renewal(lambda fs: fs.get_file_info(paths), ", ".join(paths)))

    def get_file_info_selector(self, selector: pyarrow.fs.FileSelector) -> Any:
        return self._with_renewal(lambda fs: fs.get_file_info(selector), selector.base_dir)

    def open_input_file(self, path: str) -> pa.NativeFile:
        return self._with_renewal(lambda fs: fs.open_input_file(path), path)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self._with_renewal(lambda fs: fs.open_input_stream(path), path)

    def normalize_path(self, path: str) -> str:
        return path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _LakeFiles) and other._aws == self._aws

    def __hash__(self) -> int:
        return hash(self._aws)

    def _read_only(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("The lake is written by lake/store.py only.")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _read_only
    delete_file = move = copy_file = open_output_stream = open_append_stream = _read_only


def _client_error(error: OSError, path: str) -> ClientError | None:
    """A refusal as botocore's error; None for anything else, such as a missing object."""
    found = _REFUSAL.search(str(error))
    if isinstance(error, FileNotFoundError) or found is None:
        return None
    code = _CODES.get(found["code"])
    if code is None and found["status"] not in {"400", "401", "403"}:
        return None
    answer = {
        "Error": {
            "Code": code or found["status"],
            "Message": "refused",
            "Service": "s3",
            "Resource": f"s3://{path}",
        },
        "ResponseMetadata": {"HTTPStatusCode": int(found["status"] or 403)},
    }
    return ClientError(answer, found["operation"])
