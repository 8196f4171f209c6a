"""One message or a few, decoded: what the tests of each format ask."""

from __future__ import annotations

from typing import Any

from stock_pipeline.ingest.decode import Decoded, Decoder
from stock_pipeline_tests.support.records import records


def decode(format_: str, *payloads: bytes | None, calendar: str = "XNYS") -> Decoded:
    """Rows and rejects of these payloads, offsets from 0."""
    decoder = Decoder(format_, "feed_source", calendar, [], max_message_bytes=20_000)
    try:
        return decoder.decode(records(payloads), incarnation=3)
    finally:
        decoder.close()


def reason(format_: str, payload: bytes | None) -> str:
    """Why the payload is rejected as a whole."""
    decoded = decode(format_, payload)
    assert decoded.rows.num_rows == 0
    assert decoded.rejects["partial"].to_pylist() == [False]
    return str(decoded.rejects["reason"][0].as_py())


def row(format_: str, payload: bytes, **options: Any) -> dict[str, Any]:
    """The one row that the payload becomes."""
    decoded = decode(format_, payload, **options)
    assert decoded.rejects.to_pylist() == []
    (only,) = decoded.rows.to_pylist()
    return dict(only)
