"""The digest of the records of one partition of a batch."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class RecordDigest:
    """SHA-256 over partitions, offsets, timestamps, lengths and payloads, one hash for each column.

    Whole columns hash at memory speed, and the result does not depend on how a read was divided
    into chunks.
    """

    def __init__(self) -> None:
        self._streams = [hashlib.sha256() for _ in range(5)]

    def update(self, records: pa.Table) -> int:
        """Add records; returns the bytes of their payloads."""
        partitions, offsets, timestamps, lengths, payloads = self._streams
        records = records.combine_chunks()
        payload_bytes = 0
        for batch in records.to_batches():
            for stream, column in (
                (partitions, batch["kafka_partition"]),
                (offsets, batch["kafka_offset"]),
                (timestamps, batch["kafka_timestamp"].cast(pa.int64())),
            ):
                stream.update(_contiguous(column.to_numpy(zero_copy_only=False)))
            payload = batch["payload"]
            length = pc.fill_null(pc.binary_length(payload).cast(pa.int64()), -1)
            lengths.update(_contiguous(length.to_numpy(zero_copy_only=False)))
            _, ends, data = payload.buffers()
            if data is not None:
                first = payload.offset
                bounds = memoryview(ends).cast("i")[first : first + len(payload) + 1]
                payload_bytes += bounds[-1] - bounds[0]
                payloads.update(memoryview(data)[bounds[0] : bounds[-1]])
        return payload_bytes

    def hexdigest(self) -> str:
        """Digest of all records so far."""
        return hashlib.sha256(b"".join(s.digest() for s in self._streams)).hexdigest()


def _contiguous(values: npt.NDArray[np.int64]) -> memoryview:
    import numpy as np

    return np.ascontiguousarray(values).data
