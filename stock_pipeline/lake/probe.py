"""Checks that the store honours the two conditional writes that exactly-once needs (I8).

Some stores accept `If-None-Match` and `If-Match` and ignore them. Others check them and write
without a lock in between, or ignore them for multipart uploads. On such a store two writers of one
batch would both believe that they had decided it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from botocore.exceptions import ClientError

from stock_pipeline.lake.store import Lake, PreconditionFailedError

PROBE_PREFIX = "_probe/"
RACERS = 8
WRONG_ETAG = '"00000000000000000000000000000000"'
#: Error codes of a store that knows the header and says that it does not support it.
NOT_SUPPORTED = {"NotImplemented", "InvalidArgument", "InvalidRequest", "MethodNotAllowed"}
REFUSED = {409, 412}


class StoreProbe:
    """Whether the store may be written to; a store that failed is asked again at the next call."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._passed = False

    def problems(self) -> list[str]:
        """One sentence for each promise that the store does not keep; a good answer is final.

        Raises:
            botocore.exceptions.ClientError: As by `probe_conditional_writes`.
        """
        if self._passed:
            return []
        found = probe_conditional_writes(self.lake)
        self._passed = not found
        return found


def probe_conditional_writes(lake: Lake) -> list[str]:
    """Try every conditional write that we rely on, alone and racing; clean up afterwards.

    Takes about a tenth of a second where the store is near.

    Returns:
        One sentence for each condition that the store does not honour; empty when it does.

    Raises:
        botocore.exceptions.ClientError: The store refused for another reason, such as a missing
            bucket or permission (needed: PutObject, GetObject, ListBucket, DeleteObject and
            AbortMultipartUpload below `_probe/`).
    """
    prefix = f"{PROBE_PREFIX}{uuid.uuid4().hex}/"
    try:
        with ThreadPoolExecutor(RACERS) as pool:
            answers = [
                _put_if_absent(lake, prefix, pool),
                _compare_and_swap(lake, prefix, pool),
                _multipart(lake, prefix, pool),
            ]
    finally:
        for entry in lake.list(prefix):
            lake.delete(entry.key)
    return [problem for answer in answers for problem in answer]


def _put_if_absent(lake: Lake, prefix: str, pool: ThreadPoolExecutor) -> list[str]:
    key = prefix + "absent"
    writers = [partial(lake.put_if_absent, key, b"%d" % i) for i in range(RACERS)]
    winners = _race(writers, pool)
    problems = _one_winner(winners, "put-if-absent (If-None-Match: *)", "writers of a new object")
    if len(winners) == 1 and lake.get(key)[0] != b"%d" % winners[0]:
        problems.append("After racing put-if-absent the object is not what its one winner wrote.")
    if not problems and _accepted(lambda: lake.put_if_absent(key, b"late")):
        problems.append("Put-if-absent (If-None-Match: *) overwrote an object that was there.")
    return problems


def _compare_and_swap(lake: Lake, prefix: str, pool: ThreadPoolExecutor) -> list[str]:
    key = prefix + "swapped"
    etag = lake.put(key, b"first")
    if _accepted(lambda: lake.replace(key, b"wrong", WRONG_ETAG)):
        return ["Compare-and-swap (If-Match) overwrote an object although the ETag was wrong."]
    writers = [partial(lake.replace, key, b"%d" % i, etag) for i in range(RACERS)]
    winners = _race(writers, pool)
    return _one_winner(winners, "compare-and-swap (If-Match)", "writers with the same ETag")


def _multipart(lake: Lake, prefix: str, pool: ThreadPoolExecutor) -> list[str]:
    key = prefix + "multipart"
    uploads = [_upload(lake, key) for _ in range(3)]
    try:
        writers = [partial(_complete, lake, key, *upload) for upload in uploads]
        winners = _race(writers, pool)
        problems = _one_winner(
            winners,
            "put-if-absent of multipart uploads (CompleteMultipartUpload with If-None-Match)",
            "uploads of a new object",
        )
    finally:
        for upload_id, _ in uploads:
            _abort(lake, key, upload_id)
    return problems


def _upload(lake: Lake, key: str) -> tuple[str, str]:
    """Start a multipart upload of one part; returns its id and the part's ETag."""
    upload_id = lake.client.create_multipart_upload(Bucket=lake.bucket, Key=key)["UploadId"]
    part = lake.client.upload_part(
        Bucket=lake.bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"part"
    )
    return upload_id, part["ETag"]


def _complete(lake: Lake, key: str, upload_id: str, part_etag: str) -> None:
    try:
        lake.client.complete_multipart_upload(
            Bucket=lake.bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part_etag}]},
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in REFUSED:
            raise PreconditionFailedError(lake.uri(key)) from error
        raise


def _abort(lake: Lake, key: str, upload_id: str) -> None:
    """Abort an upload that was refused; a completed one no longer exists."""
    try:
        lake.client.abort_multipart_upload(Bucket=lake.bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise


def _accepted(write: Callable[[], object]) -> bool:
    """Whether the store took the write; False when it refused or does not support it."""
    try:
        write()
    except PreconditionFailedError:
        return False
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_SUPPORTED:
            return False
        raise
    return True


def _race(writers: Sequence[Callable[[], object]], pool: ThreadPoolExecutor) -> list[int]:
    """Start all writers at once; returns the indices of those that the store accepted."""
    start = threading.Barrier(len(writers))

    def run(write: Callable[[], object]) -> bool:
        start.wait()
        return _accepted(write)

    accepted = list(pool.map(run, writers))
    return [index for index, won in enumerate(accepted) if won]


def _one_winner(winners: list[int], promise: str, racers: str) -> list[str]:
    if len(winners) == 1:
        return []
    if not winners:
        return [f"The store refuses {promise}."]
    return [f"The store ignores {promise}: {len(winners)} racing {racers} all succeeded."]
