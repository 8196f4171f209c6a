"""Files as feeds: CSV of daily index rows, trades or bars, and vendor documents as JSON."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from stock_pipeline.sources.messages import Message

#: Per message format: the columns a file must have, and the key's column first.
REQUIRED_COLUMNS: dict[str, tuple[str, ...]] = {
    "index_daily": ("Index", "Date", "Open", "High", "Low", "Close", "Volume"),
    "trade": ("symbol", "time", "price", "size"),
    "bar": ("symbol", "start", "interval", "open", "high", "low", "close", "volume"),
}
#: Columns that stay text although they may look like numbers.
TEXT_COLUMNS = frozenset(
    {"Index", "Date", "symbol", "start", "interval", "source", "trade_id", "venue"}
)


class ReplayError(Exception):
    """The file cannot be replayed."""


def file_messages(path: Path, message_format: str) -> Iterator[Message]:
    """The messages of a file, in its order, without reading it as a whole.

    Args:
        path: CSV with a header, or for `alpha_vantage_intraday` one JSON document a line
            (`.jsonl`) or a file (`.json`).
        message_format: Format of the feed.

    Raises:
        ReplayError: The file is missing, or lacks a column.
    """
    if message_format == "alpha_vantage_intraday":
        yield from _documents(path)
        return
    with _open(path) as lines:
        reader = csv.reader(lines)
        columns = _header(path, next(reader, []), message_format)
        for row in reader:
            if row:
                yield _message(columns, row)


def sampled_messages(path: Path, message_format: str, seed: int | None = None) -> Iterator[Message]:
    """Rows of a CSV file at random, with repetition, without end.

    Only the places of the lines are kept in memory.

    Raises:
        ReplayError: The file is missing, has no row, or lacks a column.
    """
    if message_format not in REQUIRED_COLUMNS:
        raise ReplayError(f"{path}: only rows of CSV files can be sampled.")
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    try:
        file = path.open("rb")
    except OSError as error:
        raise ReplayError(
            f"{path}: cannot be read ({error.strerror}); nothing was sent."
        ) from error
    with file:
        header = next(csv.reader([file.readline().decode("utf-8-sig")]), [])
        columns = _header(path, header, message_format)
        places, place = [], file.tell()
        for line in file:
            if line.strip():
                places.append(place)
            place += len(line)
        if not places:
            raise ReplayError(f"{path}: has no row; nothing was sent.")
        while True:
            file.seek(rng.choice(places))
            yield _message(columns, next(csv.reader([file.readline().decode()])))


def count_lines(path: Path) -> int:
    """Lines of a file: how far a replay has to go. 0 when it cannot be read."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise ReplayError(
            f"{path}: cannot be read ({error.strerror}); nothing was sent."
        ) from error


def _header(path: Path, columns: Sequence[str], message_format: str) -> list[str]:
    names = [c.strip() for c in columns]
    missing = [c for c in REQUIRED_COLUMNS[message_format] if c not in names]
    if missing:
        raise ReplayError(
            f"{path}: has no column {', '.join(missing)}, which messages of format"
            f" {message_format} need; nothing was sent. Its columns: {', '.join(names) or 'none'}."
        )
    return names


def _message(columns: Sequence[str], row: Sequence[str]) -> Message:
    """Empty cells are left out; numbers become JSON numbers, what is none stays as it is."""
    fields = {
        name: cell if name in TEXT_COLUMNS else _number(cell)
        for name, cell in zip(columns, row, strict=False)
        if cell != ""
    }
    key = fields.get("Index") or fields.get("symbol") or ""
    return Message(str(key).encode(), json.dumps(fields, allow_nan=True).encode())


def _number(cell: str) -> float | int | str:
    try:
        return int(cell) if cell.lstrip("-").isdecimal() else float(cell)
    except ValueError:
        return cell


def _documents(path: Path) -> Iterator[Message]:
    with _open(path) as lines:
        texts = lines if path.suffix == ".jsonl" else [lines.read()]
        for text in texts:
            if text.strip():
                yield Message(_symbol(text), text.strip().encode())


def _symbol(text: str) -> bytes:
    """Symbol of a vendor document; the file's content is the decoder's to judge, not ours."""
    try:
        return str(json.loads(text)["Meta Data"]["2. Symbol"]).encode()
    except (ValueError, LookupError, TypeError):
        return b""
