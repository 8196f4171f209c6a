"""The rows of a batch's objects, counted offset by offset and held against its decision (I1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.ingest.documents import Decision, PartitionCount, TradeDateSpan
from stock_pipeline.ingest.spans import merge_spans, trade_date_spans
from stock_pipeline.lib.formats import FORMATS

Offsets = npt.NDArray[np.int64]
_NONE: Offsets = np.array([], np.int64)


@dataclass
class Tally:
    """What a bronze or quarantine object holds, read piece by piece.

    Attributes:
        rows: Number of rows.
        offsets: Of each partition the offset of every row, in file order.
        spans: Of bronze, rows and minutes by trade_date.
        incarnations: Values of that column.
    """

    rows: int = 0
    offsets: dict[int, list[Offsets]] = field(default_factory=dict)
    spans: dict[date, TradeDateSpan] = field(default_factory=dict)
    incarnations: set[int] = field(default_factory=set)

    def add(self, rows: pa.Table) -> None:
        """Count a piece of the object."""
        self.rows += rows.num_rows
        self.incarnations.update(pc.unique(rows["incarnation"]).to_pylist())
        partitions = rows["kafka_partition"].to_numpy()
        offsets = rows["kafka_offset"].to_numpy()
        for partition in np.unique(partitions).tolist():
            found = offsets[partitions == partition]
            self.offsets.setdefault(partition, []).append(found)
        if "trade_date" in rows.column_names:
            self.spans = merge_spans(self.spans, trade_date_spans(rows))

    def of(self, partition: int) -> Offsets:
        """Offsets of a partition's rows."""
        found = self.offsets.get(partition)
        return np.concatenate(found) if found else _NONE


def doubled(decision: Decision, tally: Tally, message_format: str) -> str | None:
    """Sentence about rows of a bronze object that are there twice; None when none is.

    Of a document, whose bars share an offset, rows beyond those that were decided.
    """
    if FORMATS[message_format].document:
        return None
    for partition in sorted(tally.offsets):
        offsets = tally.of(partition)
        distinct, counts = np.unique(offsets, return_counts=True)
        twice = distinct[counts > 1]
        if len(twice):
            return (
                f"Batch {decision.plan.seq} has {len(offsets) - len(distinct)} rows twice, first "
                f"offset {twice[0]} of partition {partition}; it decided {decision.rows} rows and "
                f"the object holds {tally.rows}."
            )
    return None


def miscounted(
    decision: Decision, bronze: Tally, rejects: Tally, partial: Tally, message_format: str
) -> Iterator[str]:
    """Sentences about counts of a decision that its objects do not bear out.

    Args:
        decision: What the batch says of itself.
        bronze: Rows of its bronze object.
        rejects: Whole rejects of its quarantine object.
        partial: Partial rejects of it.
        message_format: Format of the feed.
    """
    seq = decision.plan.seq
    for name, said, found in (
        ("rows", decision.rows, bronze.rows),
        ("rejects", decision.rejects, rejects.rows),
        ("partial rejects", decision.partial_rejects, partial.rows),
    ):
        if said != found:
            yield f"Batch {seq} decided {said} {name}, its objects hold {found}."
    for partition in sorted({*bronze.offsets, *rejects.offsets} - decision.partitions.keys()):
        yield f"Batch {seq} has rows of partition {partition}, which it did not read."
    for partition, count in sorted(decision.partitions.items()):
        yield from _partition(seq, partition, count, bronze, rejects)
    if not FORMATS[message_format].document and bronze.rows != sum(
        c.accepted for c in decision.partitions.values()
    ):
        yield f"Batch {seq} does not have one row for each accepted offset."
    others = (bronze.incarnations | rejects.incarnations) - {decision.plan.incarnation}
    if others:
        yield (
            f"Batch {seq} has rows of incarnation {sorted(others)}, it belongs to "
            f"{decision.plan.incarnation}."
        )
    said_rows = {day: (s.rows, s.daily_rows) for day, s in decision.trade_dates.items()}
    found_rows = {day: (s.rows, s.daily_rows) for day, s in bronze.spans.items()}
    if said_rows != found_rows:
        wrong = sorted(
            d for d in {*said_rows, *found_rows} if said_rows.get(d) != found_rows.get(d)
        )
        yield f"Batch {seq} counts the rows of trade_date {wrong[0]} otherwise than they are."


def _partition(
    seq: int, partition: int, count: PartitionCount, bronze: Tally, rejects: Tally
) -> Iterator[str]:
    accepted, rejected = np.unique(bronze.of(partition)), np.unique(rejects.of(partition))
    name = f"Batch {seq} partition {partition}"
    for what, said, found in (
        ("accepted", count.accepted, accepted),
        ("rejected", count.rejected, rejected),
    ):
        if said != len(found):
            yield f"{name}: {said} offsets are counted as {what}, the object holds {len(found)}."
        outside = found[(found < count.start) | (found >= count.end)]
        if len(outside):
            yield (
                f"{name}: {len(outside)} {what} offsets lie outside its range {count.start} to "
                f"{count.end - 1}, first {outside[0]}."
            )
        for lost in count.lost_ranges:
            if ((found >= lost.start) & (found < lost.end)).any():
                yield f"{name}: offsets {lost.start} to {lost.end - 1} are lost, yet {what}."
    both = np.intersect1d(accepted, rejected)
    if len(both):
        yield f"{name}: {len(both)} offsets are a row and a reject, first {both[0]}."
