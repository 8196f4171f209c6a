"""Landed history in the lake: CSV objects, replaced by compare-and-swap, and read as bars."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.errors import TemporaryError, UserError
from stock_pipeline.history import bars as history
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import Landed
from stock_pipeline.lake.store import Lake, ObjectNotFoundError, PreconditionFailedError
from stock_pipeline.lib.formats import FORMATS, formats_of
from stock_pipeline.lib.formats.grains import BAR
from stock_pipeline.settings import Settings

#: How often an object is merged again because another run was first.
MOST_TRIES = 10


#: Memory for cached objects: a month of minute bars is read again for each of its days.
CACHE_BYTES = 128 * 1024 * 1024


class LandedDamagedError(UserError):
    """The object at the key of a landed object cannot be read."""


class LandingContendedError(TemporaryError):
    """Other runs replaced a landed object again and again."""


@dataclass(frozen=True)
class Kept:
    """A landed object after a fetch.

    Attributes:
        key: Where it is.
        rows: All that it holds, LANDING.
        bytes: Its size; 0 where there is none.
        etag: Its version; None when there is no object because the vendor never gave a bar.
        changed: Whether this fetch wrote it.
        fresh: Bars that are new or changed.
    """

    key: str
    rows: pa.Table
    bytes: int
    etag: str | None
    changed: bool
    fresh: int


def read_landed(lake: Lake, key: str) -> tuple[pa.Table, str, int]:
    """Rows (LANDING), ETag and bytes of a landed object.

    Raises:
        ObjectNotFoundError: Nothing is there.
        LandedDamagedError: It is not a landed CSV.
    """
    body, etag = lake.get(key)
    try:
        return history.from_csv(body), etag, len(body)
    except history.NotLandedError as error:
        raise LandedDamagedError(
            f"{lake.uri(key)} cannot be read as landed history ({error}); it stays as it is, and so"
            " do the bars made from it before. Restore it from the bucket's versions, or delete it"
            " and backfill its partition again."
        ) from None


def keep(lake: Lake, landed: Landed, fetched: pa.Table) -> Kept:
    """Merge fetched bars into their object; writes nothing when nothing is new.

    Args:
        lake: Where it is kept.
        landed: Which object.
        fetched: LANDING rows of it.

    Raises:
        LandedDamagedError: What is there cannot be read.
        LandingContendedError: Other runs replaced it at every try.
    """
    key = layout.landing_key(landed)
    for _ in range(MOST_TRIES):
        try:
            was, etag, size = read_landed(lake, key)
        except ObjectNotFoundError:
            was, etag, size = history.LANDING.empty_table(), None, 0
        rows = history.merged(was, fetched)
        if rows.equals(was):
            return Kept(key, rows, size, etag, changed=False, fresh=0)
        body = history.to_csv(rows)
        try:
            written = lake.replace(key, body, etag)
        except PreconditionFailedError:
            continue
        told_before = {tuple(row.values()) for row in was.to_pylist()}
        fresh = sum(tuple(row.values()) not in told_before for row in rows.to_pylist())
        return Kept(key, rows, len(body), written, changed=True, fresh=fresh)
    raise LandingContendedError(
        f"{lake.uri(key)} was replaced by other runs {MOST_TRIES} times; theirs stands. Backfill "
        "the partition again."
    )


def tell_changed(lake: Lake) -> None:
    """Make the readers that watch landed objects list them again."""
    lake.put(layout.LANDING_MARK, uuid4().hex.encode())


def live_incarnation(settings: Settings, lake: Lake, source: str) -> int:
    """The latest incarnation of the topics that carry a source's bars; 1 without any.

    A bar that is fetched now is later than all bars of these incarnations so far. Where the source
    has feeds of its own, only these count: with a higher incarnation of other feeds, history
    would rank above later corrections of the source for good.
    """
    formats = formats_of(BAR)
    bars = {name: feed for name, feed in settings.feeds.items() if feed.format in formats}
    feeds = [name for name, feed in bars.items() if feed.source == source]
    feeds = feeds or [name for name, feed in bars.items() if FORMATS[feed.format].names_source]
    return max((OffsetLog(lake, feed).state().incarnation for feed in feeds), default=1)


def is_landed(key: str) -> bool:
    """Whether a key is that of a landed object."""
    return key.startswith(layout.LANDING_PREFIX)


class LandedReader:
    """Reads landed objects for one run; keeps each version in memory while there is room."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._kept: OrderedDict[tuple[str, str], pa.Table] = OrderedDict()

    def new(
        self, wanted: Mapping[str, str], used: Mapping[str, str], first: date, last: date
    ) -> tuple[list[tuple[str, pa.Table]], dict[str, str]]:
        """Bars to absorb, by source, and the ETags of the landed objects that were used.

        Args:
            wanted: ETags by key of what the partition would be made from now.
            used: ETags by key of what its present rows were made from; empty to make all anew.
            first: First trade_date.
            last: Last trade_date, included.

        Returns:
            (source, BARS) with one entry for each source; ETags as of when they were read.

        Raises:
            LandedDamagedError: An object cannot be read.
        """
        parts: dict[str, list[pa.Table]] = {}
        etags: dict[str, str] = {}
        for key, landed in _landed_of(wanted):
            if key in used:
                etags[key] = wanted[key]
                continue
            try:
                rows, etags[key] = self._read(key, wanted[key])
            except ObjectNotFoundError:
                # It was removed after it was listed.
                continue
            inside = (pc.field("trade_date") >= pa.scalar(first, pa.date32())) & (
                pc.field("trade_date") <= pa.scalar(last, pa.date32())
            )
            parts.setdefault(landed.source, []).append(rows.filter(inside))
        return [(source, pa.concat_tables(tables)) for source, tables in parts.items()], etags

    def _read(self, key: str, etag: str) -> tuple[pa.Table, str]:
        if (key, etag) in self._kept:
            self._kept.move_to_end((key, etag))
            return self._kept[key, etag], etag
        rows, etag, _ = read_landed(self.lake, key)
        self._kept[key, etag] = history.bronze_rows(rows)
        while sum(t.nbytes for t in self._kept.values()) > CACHE_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return self._kept[key, etag], etag


def _landed_of(keys: Mapping[str, str]) -> Iterator[tuple[str, Landed]]:
    for key in sorted(keys):
        if landed := layout.landed_of_key(key):
            yield key, landed
