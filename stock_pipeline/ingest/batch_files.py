"""The files and counts of a batch while it is read: decoded, counted, digested."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stock_pipeline.errors import InternalError
from stock_pipeline.ingest.decode import DECODER_VERSION, Decoded, Decoder
from stock_pipeline.ingest.digest import RecordDigest
from stock_pipeline.ingest.documents import (
    Anchor,
    Decision,
    OffsetRange,
    PartitionCount,
    Plan,
    TradeDateSpan,
)
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.reading import OffsetPoll, Reader
from stock_pipeline.ingest.spans import event_time_span, merge_spans, trade_date_spans
from stock_pipeline.kafka.control import OffsetOutOfRangeError, payload_digest
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE


@dataclass
class _Count:
    """Where the offsets of one partition went, so far."""

    offsets: OffsetRange
    records: int = 0
    rejected: int = 0
    lost: list[OffsetRange] = field(default_factory=list)

    def closed(self) -> PartitionCount:
        lost = sum(len(r) for r in self.lost)
        return PartitionCount(
            start=self.offsets.start,
            end=self.offsets.end,
            accepted=self.records - self.rejected,
            rejected=self.rejected,
            holes=len(self.offsets) - self.records - lost,
            lost=lost,
            lost_ranges=tuple(self.lost),
        )


class BatchFiles:
    """The files and counts of a batch while it is read.

    Decoding and writing each have a thread of their own beside the one that reads; all three
    release the interpreter lock most of the time. At most two chunks wait, so memory does not grow
    with the batch.
    """

    def __init__(self, plan: Plan, decoder: Decoder, message_format: str, folder: Path) -> None:
        self.plan = plan
        self.decoder = decoder
        self.counts: dict[int, _Count] = {}
        self.anchors: dict[int, Anchor] = {}
        self.rows = self.rejects = self.partial_rejects = self.payload_bytes = 0
        self.spans: dict[date, TradeDateSpan] = {}
        self.first_event_time: datetime | None = None
        self.last_event_time: datetime | None = None
        self.preview: pa.Table | None = None
        self.rejects_preview: pa.Table | None = None
        self._bronze_path = folder / "bronze.parquet"
        self._quarantine_path = folder / "quarantine.parquet"
        # Checksums of pages show bytes that changed after they were written, without a second copy
        # to compare with.
        self._bronze = pq.ParquetWriter(
            self._bronze_path,
            FORMATS[message_format].schema,
            compression="zstd",
            write_page_checksum=True,
        )
        self._quarantine = pq.ParquetWriter(
            self._quarantine_path, QUARANTINE, compression="zstd", write_page_checksum=True
        )
        self._digest = RecordDigest()
        self._decoding, self._writing = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []

    def read_all(
        self, ranges: Mapping[int, OffsetRange], reader: Reader | None, poll: OffsetPoll
    ) -> None:
        """Read every range; without a reader, count all of them as lost."""
        for partition, offsets in sorted(ranges.items()):
            if reader is None:
                self.lose(partition, offsets)
            else:
                self.read(reader, poll, partition, offsets)

    def read(self, reader: Reader, poll: OffsetPoll, partition: int, offsets: OffsetRange) -> None:
        """Read one partition's range; offsets that retention removed are counted as lost."""
        count = self.counts[partition] = _Count(offsets)
        position = offsets.start
        while position < offsets.end:
            try:
                for records in reader.read(partition, position, offsets.end):
                    position = records["kafka_offset"][-1].as_py() + 1
                    self._submit(count, records)
                position = offsets.end
            except OffsetOutOfRangeError as error:
                position = max(position, error.offset)
                polled = poll().partitions.get(partition)
                if polled is None or polled.beginning <= position:
                    raise TopicChangedError(
                        f"Topic {self.plan.topic} partition {partition} does not have offset "
                        f"{position} that batch {self.plan.seq} planned: truncated or recreated. "
                        f"Nothing was written; to go on: stock-pipeline feed adopt {self.plan.feed}"
                    ) from error
                position = self._lose(count, position, min(polled.beginning, offsets.end))
        self._drain(0)

    def lose(self, partition: int, offsets: OffsetRange) -> None:
        """Count a whole range as lost: its records cannot be read any more."""
        count = self.counts[partition] = _Count(offsets)
        self._lose(count, offsets.start, offsets.end)

    @staticmethod
    def _lose(count: _Count, start: int, end: int) -> int:
        if end > start:
            count.lost.append(OffsetRange(start=start, end=end))
        return end

    def _submit(self, count: _Count, records: pa.Table) -> None:
        self._drain(1)
        decoded = self._decoding.submit(self.decoder.decode, records, self.plan.incarnation)
        self._pending.append(self._writing.submit(self._absorb, count, records, decoded))

    def _drain(self, most: int) -> None:
        while len(self._pending) > most:
            self._pending.pop(0).result()

    def _absorb(self, count: _Count, records: pa.Table, decoding: Future[Decoded]) -> None:
        self.payload_bytes += self._digest.update(records)
        decoded = decoding.result()
        whole = pc.sum(pc.invert(decoded.rejects["partial"])).as_py() or 0
        count.records += len(records)
        count.rejected += whole
        self.rows += len(decoded.rows)
        self.rejects += whole
        self.partial_rejects += len(decoded.rejects) - whole
        self.spans = merge_spans(self.spans, trade_date_spans(decoded.rows))
        if span := event_time_span(decoded.rows):
            self.first_event_time = min(self.first_event_time or span[0], span[0])
            self.last_event_time = max(self.last_event_time or span[1], span[1])
        if len(decoded.rows):
            self._bronze.write_table(decoded.rows)
            self.preview = decoded.rows.slice(0, 5) if self.preview is None else self.preview
        if len(decoded.rejects):
            self._quarantine.write_table(decoded.rejects)
            if self.rejects_preview is None:
                self.rejects_preview = decoded.rejects.slice(0, 5)
        last = records.slice(len(records) - 1)
        self.anchors[last["kafka_partition"][0].as_py()] = Anchor(
            offset=last["kafka_offset"][0].as_py(),
            timestamp=last["kafka_timestamp"][0].value // 1000,
            digest=payload_digest(last["payload"][0].as_py()),
        )

    @property
    def digest(self) -> str:
        """Digest of the records read so far."""
        return self._digest.hexdigest()

    def decision(
        self, object_key: str, quarantine_key: str | None, attempt: str, run_id: str
    ) -> Decision:
        """What the footer will say.

        Raises:
            InternalError: An offset is not accounted for (I6); nothing is written then.
        """
        decision = Decision(
            plan=self.plan,
            attempt=attempt,
            run_id=run_id,
            decoder_version=DECODER_VERSION,
            object_key=object_key,
            quarantine_key=quarantine_key,
            partitions={p: c.closed() for p, c in self.counts.items()},
            rows=self.rows,
            rejects=self.rejects,
            partial_rejects=self.partial_rejects,
            payload_bytes=self.payload_bytes,
            trade_dates=self.spans,
            first_event_time=self.first_event_time,
            last_event_time=self.last_event_time,
            digest=self.digest,
            anchors=self.anchors,
        )
        if not decision.balanced or any(c.holes < 0 for c in decision.partitions.values()):
            raise InternalError(
                f"Batch {self.plan.seq} of feed {self.plan.feed} does not account for every offset "
                f"({decision.partitions}); nothing was written. This is a bug: please report it."
            )
        return decision

    def seal_rejects(self) -> Path:
        """Close the quarantine file."""
        self._quarantine.close()
        return self._quarantine_path

    def seal(self, decision: Decision) -> Path:
        """Write the footer and close the bronze file."""
        self._bronze.add_key_value_metadata({FOOTER_KEY: decision.model_dump_json().encode()})
        self._bronze.close()
        return self._bronze_path

    def close(self) -> None:
        """Stop the threads; after an error, drop waiting chunks: nothing is in the lake yet."""
        self._decoding.shutdown(cancel_futures=True)
        self._writing.shutdown(cancel_futures=True)
