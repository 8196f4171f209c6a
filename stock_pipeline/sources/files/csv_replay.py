"""Files as feeds: CSV of daily index rows, trades or bars, and vendor documents as JSON.

What a row holds is the decoder's to judge, which rejects with the bytes; only a file whose rows
cannot be told apart is refused here.
"""

from __future__ import annotations

import csv
import json
import math
import random
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from stock_pipeline.errors import UsageError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.lib.formats import FORMATS

#: A longer cell means an unclosed quote, which would swallow the rows after it.
MOST_CELL_CHARACTERS = 16 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


class ReplayError(UsageError):
    """The file cannot be replayed."""


def file_messages(path: Path, message_format: str) -> Iterator[Message]:
    """The messages of a file in its order; the file is never read as a whole.

    A row with more or fewer cells than the header becomes a JSON array, and bytes that are not
    UTF-8 stay as they are. The decoder rejects both.

    Args:
        path: CSV with a header. For a vendor's documents: one JSON document for each line
            (`.jsonl`), or for the whole file (`.json`).
        message_format: Format of the feed.

    Raises:
        ReplayError: The file cannot be read, lacks a column or has one twice, or its quotes do not
            show where a row ends. The messages of the rows before were yielded.
    """
    if FORMATS[message_format].document:
        yield from _documents(path)
        return
    text = FORMATS[message_format].csv_text
    with _open(path) as file:
        rows = _rows(path, file)
        columns = _header(path, next(rows, []), message_format)
        for row in rows:
            yield _message(columns, row, text)


def sampled_messages(path: Path, message_format: str, seed: int | None = None) -> Iterator[Message]:
    """Rows of a CSV file at random, with repetition, without end.

    Only the positions of the rows are kept in memory.

    Raises:
        ReplayError: As for `file_messages`, or the file has no row.
    """
    if not FORMATS[message_format].csv_columns:
        raise ReplayError(f"{path}: only rows of CSV files can be sampled.")
    text = FORMATS[message_format].csv_text
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    with _open(path) as file:
        places: list[int] = []
        rows = _rows(path, file, places)
        columns = _header(path, next(rows, []), message_format)
        places.clear()
        for _ in rows:
            pass
        if not places:
            raise ReplayError(f"{path}: has no row; nothing was sent.")
        while True:
            file.seek(rng.choice(places))
            yield _message(columns, next(_rows(path, file)), text)


def columns_of(path: Path) -> list[str]:
    """The column names: the first row of a CSV file.

    Raises:
        ReplayError: The file cannot be read.
    """
    with _open(path) as file:
        return [cell.strip() for cell in next(_rows(path, file), [])]


def count_lines(path: Path) -> int:
    """Number of lines of a file, for the progress of a replay; 0 when it cannot be read."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _open(path: Path) -> BinaryIO:
    """Open a file and skip a byte order mark, if it has one."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ReplayError(
            f"{path}: cannot be read ({error.strerror}); nothing was sent."
        ) from error
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    return file


def _rows(path: Path, file: BinaryIO, places: list[int] | None = None) -> Iterator[list[str]]:
    """Rows that are not blank; the byte offset of each is appended to `places`.

    Raises:
        ReplayError: The end of a row cannot be found.
    """
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    place = file.tell()

    def lines() -> Iterator[str]:
        nonlocal place
        for read in iter(file.readline, b""):
            for line in _ends_of_old_macs(read):
                place += len(line)
                yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(lines(), strict=True)
    while True:
        start, line = place, reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ReplayError(
                f"{path}, line {line}: a quote is not closed, or followed by other text"
                f" ({error}); rows from there on were not sent. Mend it and replay them."
            ) from None
        if row is None:
            return
        if any(cell.strip() for cell in row):
            if places is not None:
                places.append(start)
            yield row


def _ends_of_old_macs(line: bytes) -> Sequence[bytes]:
    """The line, divided where lines end with CR alone."""
    return re.findall(rb"[^\r]*\r\n?|[^\r]+", line) if b"\r" in line[:-2] else (line,)


def _header(path: Path, columns: Sequence[str], message_format: str) -> list[str]:
    names = [c.strip() for c in columns]
    if not all(name.isprintable() for name in names):
        raise ReplayError(
            f"{path}, line 1: the names of the columns are not text in UTF-8; nothing was sent."
        )
    shown = ", ".join(names)[:500] or "none"
    missing = [c for c in FORMATS[message_format].csv_columns if c not in names]
    if missing:
        raise ReplayError(
            f"{path}: has no column {', '.join(missing)}, which messages of format"
            f" {message_format} need; nothing was sent. Its columns: {shown}."
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ReplayError(f"{path}: has column {twice[0]!a} twice; nothing was sent.")
    return names


def _message(columns: Sequence[str], row: Sequence[str], text: Collection[str]) -> Message:
    """A row as a message: empty cells are left out, numbers become JSON numbers but for `text`."""
    if len(row) != len(columns):
        return Message(b"", _json(row))
    fields = {
        name: cell if name in text else _number(cell)
        for name, cell in zip(columns, row, strict=True)
        if cell != ""
    }
    key = fields.get("Index") or fields.get("symbol") or ""
    return Message(str(key).encode("utf-8", "surrogateescape"), _json(fields))


def _json(value: object) -> bytes:
    """JSON; bytes that were not UTF-8 in the file are written as they were."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def _number(cell: str) -> float | int | str:
    if not _NUMBER.fullmatch(cell):
        return cell
    try:
        number = float(cell) if set(cell) & set(".eE") else int(cell)
    except ValueError:  # More digits than Python converts.
        return cell
    return number if math.isfinite(number) else cell


def _documents(path: Path) -> Iterator[Message]:
    """The documents as they are, without the space around them."""
    with _open(path) as file:
        for document in file if path.suffix == ".jsonl" else [file.read()]:
            if stripped := document.strip():
                yield Message(_symbol(stripped), stripped)


def _symbol(document: bytes) -> bytes:
    """Symbol of a vendor's document, for the key. Whether it is valid, the decoder decides."""
    try:
        return str(json.loads(document)["Meta Data"]["2. Symbol"]).encode()
    except (ValueError, LookupError, TypeError, RecursionError):
        return b""
