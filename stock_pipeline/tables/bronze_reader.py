"""Rows of bronze objects for one partition, each object read once while it fits in memory."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.formats.arrow import TIMESTAMP
from stock_pipeline.lib.formats.spec import Grain
from stock_pipeline.lib.intervals import Interval
from stock_pipeline.tables.index_store import Input

#: Objects up to this size are read whole and kept; of larger ones the row groups that match.
WHOLE_OBJECT_BYTES = 32 * 1024 * 1024
#: Memory that kept tables may take.
CACHE_BYTES = 256 * 1024 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class BronzeReader:
    """Reads bronze objects for the builder of one run; they never change, so keeping is safe."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._kept: OrderedDict[str, pa.Table] = OrderedDict()

    def days(
        self,
        batches: Sequence[Input],
        grain: Grain,
        first: date,
        last: date,
        minutes: Sequence[Interval] = (),
    ) -> pa.Table:
        """Rows of batches with a trade_date from `first` to `last`.

        Args:
            batches: Batches of feeds whose formats have one grain.
            grain: That grain.
            first: First trade_date.
            last: Last trade_date, included.
            minutes: Of trades: half-open ranges of minutes since the epoch; all when empty.
        """
        schema = grain.schema
        condition = (pc.field("trade_date") >= first) & (pc.field("trade_date") <= last)
        if minutes:
            times = pc.field("event_time")
            inside = [(times >= _instant(low)) & (times < _instant(high)) for low, high in minutes]
            reached = inside[0]
            for other in inside[1:]:
                reached |= other
            condition &= reached
        return pa.concat_tables(
            [schema.empty_table(), *(self._rows(b, schema, condition) for b in batches)]
        )

    def _rows(self, batch: Input, schema: pa.Schema, condition: pc.Expression) -> pa.Table:
        if batch.bytes > WHOLE_OBJECT_BYTES:
            table = pq.read_table(
                f"{self.lake.bucket}/{batch.key}",
                filesystem=self.lake.filesystem,
                filters=condition,
                partitioning=None,
            )
            return table.replace_schema_metadata(None).cast(schema)
        return self._whole(batch.key, schema).filter(condition)

    def _whole(self, key: str, schema: pa.Schema) -> pa.Table:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        table = pq.read_table(io.BytesIO(self.lake.get(key)[0]), partitioning=None)
        table = table.replace_schema_metadata(None).cast(schema)
        self._kept[key] = table
        while sum(t.nbytes for t in self._kept.values()) > CACHE_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return table


def _instant(minute: int) -> pa.Scalar:
    return pa.scalar(_EPOCH + timedelta(minutes=minute), TIMESTAMP)
