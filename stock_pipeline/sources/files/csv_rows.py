"""A file as a source: its rows in order, or at random without end, at a rate of choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stock_pipeline.errors import StoppedError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.sources.errors import RequestError
from stock_pipeline.sources.files.csv_replay import (
    ReplayError,
    columns_of,
    file_messages,
    sampled_messages,
)
from stock_pipeline.sources.source import ANY_FORMAT, SourceContext, SourceKind, SourceRequest


class CsvRows:
    """Options: file, format, sample (true or false), seed, limit (rows), every (seconds a row).

    Without `every`, rows come as fast as possible; rows at random come one a second.
    """

    def __init__(self, context: SourceContext) -> None:
        self._context, self.quotas = context, None

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """Rows of the file: of the symbols asked for, else all."""
        SOURCE.ensure_takes("Source csv", request)
        options = request.options
        if "file" not in options:
            raise RequestError("Source csv needs file, its option or --file; nothing was sent.")
        path = Path(options["file"])
        sampled = request.flag("sample")
        if "seed" in options and not sampled:
            raise RequestError("Source csv takes a seed with sample only; nothing was sent.")
        # Rows at random have no end. As fast as possible they would fill the topic's disk.
        every = self._number(options.get("every", "1" if sampled else "0"), "every")
        limit = self._number(options["limit"], "limit") if "limit" in options else None
        seed = int(self._number(options["seed"], "seed")) if "seed" in options else None
        try:
            chosen = options.get("format") or _format_of(path)
            rows = sampled_messages(path, chosen, seed) if sampled else file_messages(path, chosen)
            wanted = {symbol.encode() for symbol in request.symbols}
            sent = 0
            for row in rows:
                if self._context.stop.is_set():
                    raise StoppedError
                if wanted and row.key not in wanted:
                    continue
                yield row
                sent += 1
                if sent == limit:
                    return
                if every:
                    self._context.wait(every, f"The next row of {path.name} comes.", "pause")
        except ReplayError as error:
            raise RequestError(str(error)) from None

    def check(self) -> str:
        """Nothing to check: no vendor and no key."""
        return "needs no key"

    def _number(self, text: str, name: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e9:
            raise RequestError(f"Source csv: {name} must be a number of at least 0.")
        return number


def _format_of(path: Path) -> str:
    """The format whose columns the file has.

    Raises:
        RequestError: It has the columns of no format.
        ReplayError: The file cannot be read.
    """
    if path.suffix in {".json", ".jsonl"}:
        return next(name for name, spec in FORMATS.items() if spec.document)
    columns = set(columns_of(path))
    for name, spec in FORMATS.items():
        if spec.csv_columns and columns.issuperset(spec.csv_columns):
            return name
    raise RequestError(
        f"{path}: its columns are those of no known format; nothing was sent."
        " docs/adding_a_feed.md lists the formats."
    )


SOURCE = SourceKind(
    summary="rows of a file, in order or at random (--sample)",
    open=CsvRows,
    formats={"rows": ANY_FORMAT},
    takes={"rows": ("file", "format", "sample", "seed", "every", "limit")},
    needs_symbols=False,
    streams=frozenset({"rows"}),
)
