"""Rejects in the lake that were not replayed yet, with their payloads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stock_pipeline.ingest.documents import Decision, OffsetRange
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.rejects.rereads import reread_offsets
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats.arrow import QUARANTINE, RECORDS

#: Rejects in one chunk. Each may be as large as the largest message of its topic.
CHUNK_RECORDS = 1_000


@dataclass(frozen=True)
class OpenRejects:
    """Rejects of one batch that no replay has taken.

    Attributes:
        decision: The batch.
        rejects: Schema QUARANTINE, in (partition, offset) order; payloads only on request.
    """

    decision: Decision
    rejects: pa.Table


def open_rejects(
    log: OffsetLog,
    state: LogState,
    *,
    payloads: bool = False,
    batch: int | None = None,
    reason: str | None = None,
) -> Iterator[OpenRejects]:
    """Rejects that were not replayed yet, batch by batch, oldest first.

    Of all batches and reasons, or of those that are given.

    Payloads may be large, so they come only on request.
    """
    superseded = state.superseded
    columns = [name for name in QUARANTINE.names if payloads or name != "payload"]
    order = [("kafka_partition", "ascending"), ("kafka_offset", "ascending")]
    prefix = layout.quarantine_prefix(log.feed)
    for key in [entry.key for entry in log.lake.list(prefix)]:
        seq = layout.seq_of_object_key(key)
        if seq in superseded or batch not in {None, seq}:
            continue
        commit = log.commit_of(seq)
        decision = commit.decision if commit else None
        if decision is None or decision.quarantine_key != key:
            continue
        with log.lake.open(key) as file:
            rejects = pq.read_table(file, columns=columns).sort_by(order)
        settled = reread_offsets(state, decision.plan.seq)
        if settled:
            keep = [
                partial or offset not in settled.get(partition, ())
                for partition, offset, partial in zip(
                    rejects["kafka_partition"].to_pylist(),
                    rejects["kafka_offset"].to_pylist(),
                    rejects["partial"].to_pylist(),
                    strict=True,
                )
            ]
            rejects = rejects.filter(pa.array(keep, pa.bool_()))
        if reason is not None:
            rejects = rejects.filter(pc.field("reason") == reason)
        if rejects.num_rows:
            yield OpenRejects(decision, rejects)


class QuarantineReader:
    """Reads rejects as Kafka records, in the place of Kafka, for a replay from quarantine."""

    def __init__(self, lake: Lake, key: str, offsets: dict[int, tuple[OffsetRange, ...]]) -> None:
        self.lake = lake
        self.key = key
        self.offsets = offsets

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """Chunks of the rejects that the plan names in `[start, end)`, schema RECORDS."""
        offset = pc.field("kafka_offset")
        named = pc.scalar(False)
        for r in self.offsets.get(partition, ()):
            named = named | ((offset >= max(r.start, start)) & (offset < min(r.end, end)))
        wanted = (pc.field("kafka_partition") == partition) & ~pc.field("partial") & named
        # The object holds rejects in the order in which they were read: by partition and offset.
        with self.lake.open(self.key) as file:
            for batch in pq.ParquetFile(file).iter_batches(CHUNK_RECORDS):
                records = pa.Table.from_batches([batch]).filter(wanted)
                if records.num_rows:
                    yield records.select(RECORDS.names).replace_schema_metadata(None).cast(RECORDS)

    def record_at(self, partition: int, offset: int) -> tuple[int, str] | None:  # noqa: ARG002
        """None: a reject in the lake proves nothing about the topic."""
        return None
