"""Any bytes as a file to replay: messages with everything that it held, or one sentence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_pipeline.commands import replay
from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.files.csv_replay import ReplayError, file_messages, sampled_messages
from stock_pipeline_tests.support.records import records

HEADER = "symbol,time,price,size\n"
GOOD = "IBM,2026-11-20T15:00:00Z,1.5,2\n"

fuzz = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def written(folder: Path, data: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return path


def messages(path: Path, format_: str = "trade") -> list[Message]:
    return list(file_messages(path, format_))


@cache
def _decoder() -> Decoder:
    return Decoder("trade", "s", "24/7", [], 10_000_000)


def outcomes(found: list[Message]) -> list[str]:
    """What the decoder makes of each: `row`, or the reason of its reject."""
    decoded = _decoder().decode(records([m.value for m in found]), 1)
    said = dict(
        zip(
            decoded.rejects["kafka_offset"].to_pylist(),
            decoded.rejects["reason"].to_pylist(),
            strict=True,
        )
    )
    assert len(said) + decoded.rows.num_rows == len(found)
    return [said.get(n, "row") for n in range(len(found))]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ü,2026-11-20T15:00:00Z,1,2\n".encode("latin-1"), "not_utf8"),
        (b"A\x00,2026-11-20T15:00:00Z,1,2\n", "impossible_value"),
        (b'"A\nB",2026-11-20T15:00:00Z,1,2\n', "impossible_value"),
        (b"A,2026-11-20T15:00:00Z,1,000,2\n", "wrong_type"),
        (b"A,2026-11-20T15:00:00Z,1\n", "wrong_type"),
        (b"A,2026-11-20T15:00:00Z,1_0,2\n", "wrong_type"),
        ("A,2026-11-20T15:00:00Z,٣,2\n".encode(), "wrong_type"),
        (b"A,2026-11-20T15:00:00Z,inf,2\n", "impossible_value"),
        (b"A,2026-11-20T15:00:00Z,1e400,2\n", "impossible_value"),
        (b"A,2026-11-20T15:00:00Z," + b"9" * 5000 + b",2\n", "impossible_value"),
        (b"A,2026-11-20T15:00:00Z,1," + b"x" * 200_000 + b"\n", "wrong_type"),
        (b'"A""B",2026-11-20T15:00:00Z,1,2\r\n', "row"),
        (b"A, 2026-11-20T15:00:00Z , 1 ,2\n", "row"),
    ],
)
def test_a_hostile_row_is_a_reject_and_costs_no_neighbour(
    tmp_path: Path, row: bytes, expected: str
) -> None:
    data = b"\xef\xbb\xbf" + HEADER.encode() + GOOD.encode() + row + GOOD.encode()
    path = written(tmp_path, data)
    assert outcomes(messages(path)) == ["row", expected, "row"]
    drawn = list(islice(sampled_messages(path, "trade", seed=1), 30))
    assert set(drawn) == set(messages(path))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_any_system_ends_them(tmp_path: Path, end: str) -> None:
    path = written(tmp_path, (HEADER + GOOD * 3 + "\n").replace("\n", end))
    assert outcomes(messages(path)) == ["row"] * 3
    assert next(sampled_messages(path, "trade", seed=1)) == messages(path)[0]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (HEADER + GOOD + '"A,1,2,3\n' + GOOD, "line 3: a quote is not closed"),
        (HEADER + GOOD + '"A"B,1,2,3\n' + GOOD, "line 3: a quote is not closed, or followed by"),
        (
            (HEADER + GOOD).encode("utf-16"),
            "line 1: the names of the columns are not text in UTF-8",
        ),
        ((HEADER + GOOD).encode("utf-16-be"), "line 1: the names of the columns are not text"),
        (bytes(range(256)), "line 1: the names of the columns are not text in UTF-8"),
        ("symbol,time,price,size,price\n" + GOOD, "has column 'price' twice; nothing was sent"),
        (HEADER.replace(",", ";") + GOOD, "has no column symbol, time, price, size"),
        ("x" * 20_000_000, "line 1: a quote is not closed"),
        ("", "has no column symbol, time, price, size"),
    ],
)
def test_a_file_whose_rows_cannot_be_told_apart_is_refused_in_a_sentence(
    tmp_path: Path, data: str | bytes, sentence: str
) -> None:
    path = written(tmp_path, data)
    for read in (file_messages, sampled_messages):
        with pytest.raises(ReplayError) as caught:
            list(islice(read(path, "trade"), 100))
        said = str(caught.value).removeprefix(str(path)).lstrip(",: ")
        assert said.startswith(sentence)
        assert said.isprintable()
        assert len(said) < 700


def test_the_rows_before_a_broken_one_are_sent_and_the_error_comes_after(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + GOOD * (replay.CHUNK + 3) + '"A,1,2,3\n')
    chunks = replay._chunks(file_messages(path, "trade"))
    assert [len(next(chunks)), len(next(chunks))] == [replay.CHUNK, 3]
    with pytest.raises(ReplayError, match=f"line {replay.CHUNK + 5}: a quote"):
        next(chunks)


@pytest.mark.parametrize(
    "document", [b"\xff\xfe", b"\x00", b"[" * 100_000, b'{"Meta Data":{"2. Symbol":"\\ud800"}}']
)
def test_a_vendor_document_is_sent_byte_by_byte(tmp_path: Path, document: bytes) -> None:
    for name in ("a.json", "a.jsonl"):
        path = written(tmp_path, b"\xef\xbb\xbf" + document + b"\r\n", name)
        assert messages(path, "alpha_vantage_intraday") == [Message(b"", document)]


@fuzz
@given(
    rows=st.lists(
        st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=6),
        max_size=8,
    ),
    # Python writes a cell with CR unquoted where the line end is LF.
    ends=st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
)
def test_every_cell_of_every_row_is_in_its_message(
    tmp_path: Path, rows: list[list[str]], ends: tuple[str, int]
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=ends[0], quoting=ends[1])  # type: ignore[arg-type]
    writer.writerow(HEADER.strip().split(","))
    writer.writerows(rows)
    found = messages(written(tmp_path, text.getvalue()))
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    assert len(found) == len(kept)
    for row, message in zip(kept, found, strict=True):
        sent = json.loads(message.value or b"")
        cells = sent if isinstance(sent, list) else list(sent.values())
        given_cells = row if isinstance(sent, list) else [c for c in row if c]
        for given_cell, cell in zip(given_cells, cells, strict=True):
            assert str(cell) == given_cell or float(cell) == float(given_cell)


@fuzz
@given(data=st.binary(max_size=300), after_header=st.booleans())
def test_any_bytes_are_messages_or_a_sentence(
    tmp_path: Path, data: bytes, after_header: bool
) -> None:
    path = written(tmp_path, HEADER.encode() + data if after_header else data)
    found = list(replay._chunks(_until_refused(path)))
    assert sum(len(outcomes(chunk)) for chunk in found) == sum(map(len, found))


def _until_refused(path: Path) -> Iterator[Message]:
    with suppress(ReplayError):
        yield from file_messages(path, "trade")


def test_the_check_of_bytes_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.file_messages", Mock(side_effect=UnicodeError("traceback")))
    with pytest.raises(UnicodeError):
        messages(written(tmp_path, b""))
