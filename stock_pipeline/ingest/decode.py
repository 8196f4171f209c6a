"""Decoding: Kafka payloads in, typed bronze rows and rejects out.

Each format is one DuckDB statement. Every record yields either rows or one reject. The exception is
a document of many bars: it may yield good rows and, for its bad bars, rejects marked `partial`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE, TIMESTAMP
from stock_pipeline.lib.formats.records import KAFKA_COLUMNS
from stock_pipeline.lib.sessions import trade_dates
from stock_pipeline.lib.sql_files import sql_text

#: Grows when a format's meaning changes; every batch records the one that decoded it.
DECODER_VERSION = "2"

_KAFKA = [f.name for f in KAFKA_COLUMNS if f.name != "incarnation"]


_INPUT = pa.schema(
    [
        pa.field("i", pa.int64(), nullable=False),
        pa.field("kafka_timestamp", TIMESTAMP, nullable=False),
        pa.field("payload", pa.binary()),
    ]
)
_NOTHING = _INPUT.empty_table()
#: Payload bytes in one execution where documents are large; it needs about 30 times the memory.
_SLICE_BYTES = 4 * 1024 * 1024
_LARGE_DOCUMENT = 4096


@dataclass(frozen=True)
class Decoded:
    """What a chunk of records became, both in (partition, offset) order.

    Attributes:
        rows: Bronze rows, schema `FORMATS[format].schema`.
        rejects: Schema `QUARANTINE`.
    """

    rows: pa.Table
    rejects: pa.Table


class _Chunk:
    """The table that DuckDB knows as `records`: the name stays, each chunk replaces the rows."""

    table: pa.Table = _NOTHING

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Decoder:
    """Decodes the records of one feed, chunk after chunk, in one DuckDB connection.

    Args:
        format: Message format, a key of `FORMATS`.
        source: Value of the `source` column where a message names none.
        default_calendar: Exchange calendar of symbols that no rule matches.
        calendar_rules: (symbol pattern, calendar) in order of precedence.
        max_message_bytes: Larger payloads are rejected unread.
    """

    def __init__(
        self,
        format: str,  # noqa: A002 - the word of the settings
        source: str,
        default_calendar: str,
        calendar_rules: Sequence[tuple[str, str]],
        max_message_bytes: int,
    ) -> None:
        self._schema = FORMATS[format].schema
        self._calendar = default_calendar
        self._rules = tuple(calendar_rules)
        self._chunk = _Chunk()
        self._connection = duckdb.connect(":memory:")
        run = self._connection.execute
        run("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        # Macros, not parameters: a statement with parameters is planned at every execution.
        quoted = source.replace("'", "''")
        run(f"CREATE TEMP MACRO feed_source() AS '{quoted}'")
        run(f"CREATE TEMP MACRO max_bytes() AS {int(max_message_bytes)}")
        run(sql_text("decode_macros"))
        self._connection.register("records", self._chunk)
        # Planning takes 10-30 ms, as long as decoding 20,000 trades, so it is done only once.
        run(f"PREPARE decode AS {sql_text(FORMATS[format].sql)}")

    def decode(self, records: pa.Table, incarnation: int) -> Decoded:
        """Decode a chunk. No payload, whatever its bytes, makes this fail.

        Args:
            records: Schema `RECORDS`, sorted by (partition, offset).
            incarnation: Written to every row and reject.
        """
        if records.num_rows == 0:
            return Decoded(self._schema.empty_table(), QUARANTINE.empty_table())
        found = self._run(records)
        good = pc.is_null(found["fault"])
        bad = found.filter(pc.invert(good))
        accepted = found.filter(good) if bad.num_rows else found
        return Decoded(
            self._rows(accepted, records, incarnation), _rejects(bad, records, incarnation)
        )

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()

    def _run(self, records: pa.Table) -> pa.Table:
        """The statement's result: `i` is the record's position, `fault` NULL where accepted."""
        positions = pa.array(np.arange(records.num_rows))
        numbered = _input(positions, records["kafka_timestamp"], records["payload"])
        parts = [self._run_slice(part) for part in _slices(numbered)]
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts)

    def _run_slice(self, numbered: pa.Table) -> pa.Table:
        self._chunk.table = numbered
        try:
            found = self._connection.sql("EXECUTE decode").to_arrow_table()
        finally:
            self._chunk.table = _NOTHING
        return found if _ascending(found["i"]) else found.sort_by("i")

    def _rows(self, found: pa.Table, records: pa.Table, incarnation: int) -> pa.Table:
        columns = {name: found[name] for name in found.column_names}
        columns |= _coordinates(found["i"], records)
        columns["incarnation"] = pa.repeat(pa.scalar(incarnation, pa.int32()), found.num_rows)
        if "event_time" in columns:
            columns["trade_date"] = self._trade_dates(found, "event_time")
        elif "bar_start" in columns:
            sessions = self._trade_dates(found, "bar_start")
            columns["trade_date"] = pc.coalesce(found["given_date"], sessions)
        return pa.table([columns[f.name].cast(f.type) for f in self._schema], schema=self._schema)

    def _trade_dates(self, found: pa.Table, time_column: str) -> pa.Array:
        return trade_dates(found["symbol"], found[time_column], self._rules, self._calendar)


def _input(*columns: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.table(list(columns), schema=_INPUT)


def _slices(numbered: pa.Table) -> Iterator[pa.Table]:
    """The records in slices, so that large documents need bounded memory; small ones in one."""
    if numbered["payload"].nbytes <= _LARGE_DOCUMENT * numbered.num_rows:
        yield numbered
        return
    ends = np.cumsum(pc.fill_null(pc.binary_length(numbered["payload"]), 0).to_numpy())
    start = 0
    while start < numbered.num_rows:
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _SLICE_BYTES, side="right"))
        stop = max(stop, start + 1)
        yield numbered.slice(start, stop - start)
        start = stop


def _rejects(found: pa.Table, records: pa.Table, incarnation: int) -> pa.Table:
    if found.num_rows == 0:
        return QUARANTINE.empty_table()
    columns: dict[str, Any] = _coordinates(found["i"], records)
    columns["kafka_key"] = records["kafka_key"].take(found["i"])
    columns["partial"] = pa.repeat(pa.scalar(value=False), found.num_rows)
    fragments = pa.nulls(found.num_rows, pa.binary())
    if "partial" in found.column_names:
        columns["partial"] = found["partial"]
        fragments = found["fragment"]
    # Each bad bar carries its own part of the document, not a copy of the whole document.
    whole = pc.if_else(pc.is_null(fragments), found["i"], pa.scalar(None, pa.int64()))
    columns["payload"] = pc.coalesce(fragments, records["payload"].take(whole))
    columns["reason"] = pc.struct_field(found["fault"], "reason")
    columns["detail"] = pc.struct_field(found["fault"], "detail")
    columns["incarnation"] = pa.repeat(pa.scalar(incarnation, pa.int32()), found.num_rows)
    return pa.table([columns[f.name].cast(f.type) for f in QUARANTINE], schema=QUARANTINE)


def _coordinates(positions: pa.ChunkedArray, records: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Kafka columns of the records at these positions."""
    chosen = records.select(_KAFKA)
    if not np.array_equal(positions.to_numpy(), np.arange(records.num_rows)):
        chosen = chosen.take(positions)
    return {name: chosen[name] for name in _KAFKA}


def _ascending(positions: pa.ChunkedArray) -> bool:
    numbers = positions.to_numpy()
    return bool((numbers[1:] >= numbers[:-1]).all())
