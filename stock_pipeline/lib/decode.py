"""Decoding: Kafka payloads in, typed bronze rows and rejects out, one DuckDB statement a format.

Every record yields rows or one reject, never both and never neither; only a document of many bars
may have bad bars rejected beside good rows (`partial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.lib.schemas import BRONZE_SCHEMAS, KAFKA_COLUMNS, QUARANTINE
from stock_pipeline.lib.sessions import trade_dates
from stock_pipeline.lib.spans import event_time_span, merge_spans, trade_date_spans

__all__ = [
    "DECODER_VERSION",
    "Decoded",
    "Decoder",
    "event_time_span",
    "merge_spans",
    "trade_date_spans",
]

#: Grows when a format's meaning changes; every batch records the one that decoded it.
DECODER_VERSION = "1"

_SQL = Path(__file__).parent / "sql"
_KAFKA = [f.name for f in KAFKA_COLUMNS if f.name != "incarnation"]


@dataclass(frozen=True)
class Decoded:
    """What a chunk of records became, both in (partition, offset) order.

    Attributes:
        rows: Bronze rows, schema `BRONZE_SCHEMAS[format]`.
        rejects: Schema `QUARANTINE`.
    """

    rows: pa.Table
    rejects: pa.Table


class Decoder:
    """Decodes the records of one feed, chunk after chunk, in one DuckDB connection.

    Args:
        format: Message format, a key of `BRONZE_SCHEMAS`.
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
        self._schema = BRONZE_SCHEMAS[format]
        self._calendar = default_calendar
        self._rules = tuple(calendar_rules)
        self._statement = (_SQL / f"decode_{format}.sql").read_text(encoding="utf-8")
        values = {"source": source, "max_bytes": max_message_bytes}
        self._values = {k: v for k, v in values.items() if f"${k}" in self._statement}
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        self._connection.execute((_SQL / "decode_macros.sql").read_text(encoding="utf-8"))

    def decode(self, records: pa.Table, incarnation: int) -> Decoded:
        """Decode a chunk; no record, whatever its bytes, makes this fail.

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
        numbered = records.select(["kafka_timestamp", "payload"]).append_column(
            "i", pa.array(np.arange(records.num_rows))
        )
        self._connection.register("records", numbered)
        try:
            found = self._connection.sql(self._statement, params=self._values).to_arrow_table()
        finally:
            self._connection.unregister("records")
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
        return pa.table(
            [columns[f.name].cast(f.type) for f in self._schema], schema=self._schema
        )

    def _trade_dates(self, found: pa.Table, time_column: str) -> pa.Array:
        return trade_dates(found["symbol"], found[time_column], self._rules, self._calendar)


def _rejects(found: pa.Table, records: pa.Table, incarnation: int) -> pa.Table:
    if found.num_rows == 0:
        return QUARANTINE.empty_table()
    columns: dict[str, Any] = _coordinates(found["i"], records)
    taken = records.select(["kafka_key", "payload"]).take(found["i"])
    columns["kafka_key"] = taken["kafka_key"]
    columns["payload"] = taken["payload"]
    columns["partial"] = pa.repeat(pa.scalar(value=False), found.num_rows)
    if "partial" in found.column_names:
        columns["partial"] = found["partial"]
        columns["payload"] = pc.coalesce(found["fragment"], taken["payload"])
    columns["reason"] = pc.struct_field(found["fault"], "reason")
    columns["detail"] = pc.struct_field(found["fault"], "detail")
    columns["incarnation"] = pa.repeat(pa.scalar(incarnation, pa.int32()), found.num_rows)
    return pa.table([columns[f.name].cast(f.type) for f in QUARANTINE], schema=QUARANTINE)


def _coordinates(positions: pa.ChunkedArray, records: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Kafka columns of the records at these positions."""
    chosen = records.select(_KAFKA)
    if len(positions) != records.num_rows or positions[-1].as_py() != records.num_rows - 1:
        chosen = chosen.take(positions)
    elif not _is_range(positions):
        chosen = chosen.take(positions)
    return {name: chosen[name] for name in _KAFKA}


def _ascending(positions: pa.ChunkedArray) -> bool:
    numbers = positions.to_numpy()
    return bool((numbers[1:] >= numbers[:-1]).all())


def _is_range(positions: pa.ChunkedArray) -> bool:
    numbers = positions.to_numpy()
    return bool((numbers[1:] - numbers[:-1] == 1).all())
