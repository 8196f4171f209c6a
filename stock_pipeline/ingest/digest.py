"""The digest of a batch's records, and reading a decided batch again to compare it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.ingest.documents import Decision, OffsetRange
from stock_pipeline.kafka.errors import OffsetOutOfRangeError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from stock_pipeline.ingest.reading import Reader


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


@dataclass
class Reread:
    """A decided batch, read from Kafka again.

    Attributes:
        decided: Digest of the records that the batch was decided from.
        digest: Digest of the records that Kafka has now.
        payload_bytes: Bytes of their payloads.
        offsets: Their offsets, per partition in pieces.
        gone: What retention removed since; None when every range could be read.
    """

    decided: str
    digest: str = ""
    payload_bytes: int = 0
    offsets: dict[int, list[npt.NDArray[np.int64]]] = field(default_factory=dict)
    gone: OffsetOutOfRangeError | None = None

    @property
    def same(self) -> bool:
        """Whether Kafka still has exactly these records."""
        return self.gone is None and self.digest == self.decided


def reread(decision: Decision, reader: Reader) -> Reread:
    """Read the ranges of a decided batch again, without the offsets that it lost; writes nothing.

    Raises:
        KafkaUnavailableError: The brokers do not answer.
    """
    digest, again = RecordDigest(), Reread(decision.digest)
    for partition, count in sorted(decision.partitions.items()):
        pieces = again.offsets.setdefault(partition, [])
        position = count.start
        for lost in (*count.lost_ranges, OffsetRange(start=count.end, end=count.end)):
            try:
                for records in reader.read(partition, position, lost.start):
                    again.payload_bytes += digest.update(records)
                    pieces.append(records["kafka_offset"].to_numpy())
            except OffsetOutOfRangeError as error:
                again.gone = error
                return again
            position = lost.end
    again.digest = digest.hexdigest()
    return again


def _contiguous(values: npt.NDArray[np.int64]) -> memoryview:
    import numpy as np

    return np.ascontiguousarray(values).data
