"""What holds for the messages of every format."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE
from stock_pipeline_tests.support.decoding import decode, reason, row
from stock_pipeline_tests.support.records import (
    TRADE,
    VALID,
    as_json,
    records,
)

ANY_FORMAT = pytest.mark.parametrize("format_", sorted(FORMATS))


@ANY_FORMAT
def test_a_valid_message_becomes_a_row_with_its_coordinates(format_: str) -> None:
    found = row(format_, VALID[format_])
    assert (found["kafka_partition"], found["kafka_offset"], found["incarnation"]) == (0, 0, 3)
    assert found["kafka_timestamp"] == datetime(2026, 11, 21)


@ANY_FORMAT
def test_rows_and_rejects_have_exactly_the_declared_schemas(format_: str) -> None:
    for payloads in ([], [VALID[format_]], [b"x"], [VALID[format_], b"x"]):
        decoded = decode(format_, *payloads)
        assert decoded.rows.schema.equals(FORMATS[format_].schema)
        assert decoded.rejects.schema.equals(QUARANTINE)


@ANY_FORMAT
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"\xff{}", "not_utf8"),
        (b'{"a"', "not_json"),
        (b"[" * 15_000, "not_json"),
        (b"[" * 8_000 + b"]" * 8_000, "wrong_type"),
        (b'{"symbol":"\\ud800"}', "not_json"),
        (b"[]", "wrong_type"),
        (b"null", "wrong_type"),
        (b"12", "wrong_type"),
        (b"{}", "missing_field"),
        (b" " * 20_001, "too_large"),
    ],
)
def test_what_is_no_document_is_rejected_with_its_reason(
    format_: str, payload: bytes | None, expected: str
) -> None:
    assert reason(format_, payload) == expected


def test_a_reject_keeps_its_bytes_key_and_coordinates() -> None:
    decoded = decode("trade", VALID["trade"], b"\xff\x00", VALID["trade"])
    (reject,) = decoded.rejects.to_pylist()
    assert reject["payload"] == b"\xff\x00"
    assert reject["kafka_key"] == b"k"
    assert (reject["kafka_offset"], reject["incarnation"]) == (1, 3)
    assert decoded.rows["kafka_offset"].to_pylist() == [0, 2]


@ANY_FORMAT
def test_the_first_of_repeated_members_counts(format_: str) -> None:
    again = VALID[format_][:-1] + b"," + VALID[format_].replace(b"IBM", b"X")[1:]
    if format_ == "alpha_vantage_intraday":
        assert reason(format_, again) == "wrong_type"
    else:
        assert row(format_, again)["symbol"] == row(format_, VALID[format_])["symbol"]


@pytest.mark.parametrize("none", [datetime(1969, 12, 31, 23, 59, 59), datetime(1970, 1, 1)])
def test_a_record_without_kafka_timestamp_is_still_read(none: datetime) -> None:
    decoder = Decoder("trade", "s", "24/7", [], 1000)
    decoded = decoder.decode(records([VALID["trade"]], none), 1)
    assert decoded.rows.num_rows == 1


def test_many_chunks_of_many_batches_keep_their_order() -> None:
    payloads = [as_json(TRADE, trade_id=str(n)) for n in range(10_000)]
    payloads[5_000] = b"bad"
    table = records(payloads)
    chunked = pa.concat_tables([table.slice(n, 700) for n in range(0, 10_000, 700)])
    decoded = Decoder("trade", "s", "24/7", [], 1000).decode(chunked, 1)
    assert decoded.rows["kafka_offset"].to_pylist() == [n for n in range(10_000) if n != 5_000]
    assert decoded.rows["trade_id"].to_pylist() == [str(n) for n in range(10_000) if n != 5_000]
