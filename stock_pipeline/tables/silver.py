"""How silver partitions are made: absorbed batch by batch, or anew from bronze and history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.errors import UserError
from stock_pipeline.history import bars as history
from stock_pipeline.history.store import LandedReader, is_landed
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.formats import formats_of
from stock_pipeline.lib.formats.grains import BAR, DAILY_BAR, TRADE
from stock_pipeline.lib.intervals import Interval, covers, merged, overlap
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    SILVER_BARS_DAILY,
    TableSpec,
)
from stock_pipeline.lib.sessions import ALWAYS_OPEN, DEFAULT_CALENDAR, calendar_of, symbol_sessions
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules
from stock_pipeline.tables import bars
from stock_pipeline.tables.bronze_reader import BronzeReader
from stock_pipeline.tables.checks import Violation
from stock_pipeline.tables.due import Want
from stock_pipeline.tables.index_store import Input
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.removed_feeds import RemovedFeeds

#: Trades aggregated at once; a day with more is made in pieces.
MOST_TRADES = 2_000_000
PIECE_MINUTES = 30

#: How bronze rows become vendors' daily bars, in the order in which they are absorbed.
_DAILY_BARS_OF = ((DAILY_BAR, bars.daily_bars), (BAR, bars.daily_from_vendor_bars))


@dataclass(frozen=True)
class Current:
    """A published partition as it was read.

    Attributes:
        table: Its rows.
        etag: The version read.
        made_from: Its footer.
    """

    table: pa.Table
    etag: str
    made_from: MadeFrom


@dataclass(frozen=True)
class Draft:
    """A result before its checks.

    Attributes:
        table: Its rows.
        made_from: Its footer, without run and row count.
        violations: What its inputs say against it, such as rows that are missing.
    """

    table: pa.Table
    made_from: MadeFrom
    violations: tuple[Violation, ...] = ()


class BatchIndex(Protocol):
    """What silver needs to know of decided batches; `TableIndex` is the usual one."""

    def inputs(self, table: TableSpec, partition: str) -> list[Input]:
        """Every decided batch that touches a partition, in order of feed and number."""

    def examined(self) -> Mapping[str, tuple[Interval, ...]]:
        """Sequence numbers that are known, per feed."""


class SilverMaker:
    """Makes drafts of silver partitions; holds what one run has read of bronze."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        index: BatchIndex,
        reader: BronzeReader | None = None,
        landed: LandedReader | None = None,
    ) -> None:
        self.settings = settings
        self.lake = lake
        self.index = index
        self.reader = reader or BronzeReader(lake)
        self.landed = landed or LandedReader(lake)
        self._removed = RemovedFeeds(lake, settings.feeds)
        self._rules = calendar_rules(settings)

    def bars_intraday(self, day: str, want: Want, current: Current | None, full: bool) -> Draft:
        """Bars of a day: minutes that new trades touch, and the vendors' bars that are new."""
        trade_date = date.fromisoformat(day)
        inputs, kept, fresh = self._split(BARS_INTRADAY_TABLE, day, want, current, full)
        table = kept
        for source, feeds in self._feeds(formats_of(TRADE)):
            new = [i for i in fresh if i.feed in feeds]
            if not new:
                continue
            ours = [i for i in inputs if i.feed in feeds and i.rows and not i.superseded]
            minutes = merged(m for i in new for m in i.minutes)
            rows = sum(i.rows for i in ours if overlap(i.minutes, minutes))
            for piece in _pieces(minutes, rows):
                reaching = [i for i in ours if overlap(i.minutes, piece)]
                trades = self.reader.days(reaching, TRADE, trade_date, trade_date, piece)
                sessions = self._sessions(trades, trade_date, self._default_calendar(feeds))
                made = bars.bars_from_trades(trades, source, sessions)
                table = bars.replace_minutes(table, made, piece, source)
        for message_format in formats_of(BAR):
            for _, feeds in self._feeds([message_format]):
                new = [i for i in fresh if i.feed in feeds]
                if not new:
                    continue
                rows = self.reader.days(new, BAR, trade_date, trade_date)
                rows = rows.filter(pc.field("interval") != history.DAILY)
                sessions = self._sessions(rows, trade_date, self._default_calendar(feeds))
                made = bars.bars_from_vendor(rows, sessions)
                table = bars.merge_latest(table, made, BARS_INTRADAY_TABLE.key)
        was = current.made_from.etags if current and kept is not None else {}
        landed, etags = self.landed.new(want.etags, was, trade_date, trade_date)
        for source, rows in landed:
            sessions = self._sessions(rows, trade_date, self._calendar_of_history(source))
            made = bars.bars_from_vendor(rows, sessions)
            table = bars.merge_latest(table, made, BARS_INTRADAY_TABLE.key)
        if table is None:
            table = BARS_INTRADAY_TABLE.schema.empty_table()
        return Draft(table, self._made_from(want, current, etags))

    def bars_daily(self, year: str, want: Want, current: Current | None, full: bool) -> Draft:
        """Bars of a year: new daily bars of vendors, and the roll-up of days that changed."""
        first, last = date(int(year), 1, 1), date(int(year), 12, 31)
        _, kept, fresh = self._split(BARS_DAILY_TABLE, year, want, current, full)
        # A rolled-up row counts its bars, a vendor's has none.
        vendor = kept and kept.filter(pc.field("bar_count").is_null())
        rolled = kept and kept.filter(pc.field("bar_count").is_valid())
        for grain, bars_of in _DAILY_BARS_OF:
            for _, feeds in (pair for f in formats_of(grain) for pair in self._feeds([f])):
                new = [i for i in fresh if i.feed in feeds]
                if not new:
                    continue
                rows = self.reader.days(new, grain, first, last)
                yearly = self._sessions_per_year(rows, self._default_calendar(feeds))
                vendor = bars.merge_latest(vendor, bars_of(rows, yearly), BARS_DAILY_TABLE.key)
        was = dict(current.made_from.etags) if current and kept is not None else {}
        landed, landed_etags = self.landed.new(want.etags, was, first, last)
        for source, rows in landed:
            yearly = self._sessions_per_year(rows, self._calendar_of_history(source))
            made = bars.daily_from_vendor_bars(rows, yearly)
            vendor = bars.merge_latest(vendor, made, BARS_DAILY_TABLE.key)
        days = {key for key in {**was, **want.etags} if not is_landed(key)}
        etags = {key: was[key] for key in days & was.keys() if want.etags.get(key) == was[key]}
        changed = sorted(days - etags.keys())
        rolled, read = self._roll_up(rolled, changed)
        vendor = SILVER_BARS_DAILY.empty_table() if vendor is None else vendor
        # Where a source sent the day's bar itself, that is the official one.
        keys = list(BARS_DAILY_TABLE.key)
        rolled = rolled.join(vendor.select(keys), keys=keys, join_type="left anti")
        table = pa.concat_tables(
            [_conform(vendor, BARS_DAILY_TABLE), _conform(rolled, BARS_DAILY_TABLE)]
        )
        return Draft(table, self._made_from(want, current, etags | read | landed_etags))

    def _roll_up(
        self, rolled: pa.Table | None, keys: Sequence[str]
    ) -> tuple[pa.Table, dict[str, str]]:
        """Replace the rolled-up rows of some days; with the ETags of the days read."""
        etags: dict[str, str] = {}
        days = [date.fromisoformat(layout.partition_of_key(key)) for key in keys]
        parts: list[pa.Table] = []
        for key, day in sorted(zip(keys, days, strict=True)):
            try:
                table, etags[key] = self.lake.read_table(key)
            except ObjectNotFoundError:
                # Removed since it was listed: its rows go too.
                continue
            conformed = _conform(table, BARS_INTRADAY_TABLE)
            parts.append(_conform(bars.roll_up(conformed, day), BARS_DAILY_TABLE))
        if rolled is not None:
            gone = pc.is_in(rolled["trade_date"], value_set=pa.array(days, pa.date32()))
            parts.append(_conform(rolled.filter(pc.invert(gone)), BARS_DAILY_TABLE))
        return pa.concat_tables([SILVER_BARS_DAILY.empty_table(), *parts]), etags

    def _split(
        self, table: TableSpec, partition: str, want: Want, current: Current | None, full: bool
    ) -> tuple[list[Input], pa.Table | None, list[Input]]:
        """All batches, the rows to keep, None to make it anew, and the batches to absorb.

        Raises:
            ValueError: It must be made anew, and a feed that it was made from is not in the
                settings any more.
        """
        inputs = self.index.inputs(table, partition)
        made_from = current.made_from if current else MadeFrom()
        examined = made_from.examined
        new = [i for i in inputs if not covers(examined.get(i.feed, ()), i.seq)]
        anew = (
            full
            or current is None
            or made_from.definition != want.definition
            or any(i.replaces for i in new)
            # A bar that a landed object has no more gives way to the one that it hid.
            or any(is_landed(k) and want.etags.get(k) != e for k, e in made_from.etags.items())
        )
        if anew and (removed := self._removed.of(table, partition, examined)):
            raise UserError(
                f"A partition must be made anew, but feed {', '.join(removed)}, which it was made "
                "from, is not in the settings: its bars would be lost. The old object stays; put "
                "the feed back into config/app_config.yaml."
            )
        usable = [i for i in (inputs if anew else new) if i.rows and not i.superseded]
        return inputs, (None if anew or current is None else current.table), usable

    def _made_from(self, want: Want, current: Current | None, etags: Mapping[str, str]) -> MadeFrom:
        before = current.made_from.examined if current else {}
        known = self.index.examined()
        return MadeFrom(
            examined={
                feed: merged([*before.get(feed, ()), *known.get(feed, ())])
                for feed in sorted({*before, *known})
            },
            etags=dict(sorted(etags.items())),
            definition=want.definition,
        )

    def _feeds(self, formats: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Feeds of formats by the source that they write: trades of one source make one bar."""
        sources: dict[str, list[str]] = {}
        for name, feed in self.settings.feeds.items():
            if feed.format in formats:
                sources.setdefault(feed.source, []).append(name)
        yield from sources.items()

    def _default_calendar(self, feeds: Sequence[str]) -> str:
        return self.settings.feeds[feeds[0]].calendar or DEFAULT_CALENDAR

    def _calendar_of_history(self, source: str) -> str:
        wanted = self.settings.history.get(source)
        return (wanted and wanted.calendar) or DEFAULT_CALENDAR

    def _sessions(self, rows: pa.Table, day: date, calendar: str) -> pa.Table:
        volatility = self.settings.volatility
        return symbol_sessions(
            _symbols(rows),
            day,
            self._rules,
            calendar,
            volatility.sessions_per_year,
            volatility.sessions_per_year_247,
        )

    def _sessions_per_year(self, rows: pa.Table, calendar: str) -> pa.Table:
        volatility = self.settings.volatility
        symbols = _symbols(rows)
        yearly = [
            volatility.sessions_per_year_247
            if calendar_of(symbol, self._rules, calendar) == ALWAYS_OPEN
            else volatility.sessions_per_year
            for symbol in symbols
        ]
        return pa.table(
            {
                "symbol": pa.array(symbols, pa.string()),
                "sessions_per_year": pa.array(yearly, pa.float64()),
            }
        )


def _symbols(rows: pa.Table) -> list[str]:
    return sorted(pc.unique(rows["symbol"]).to_pylist())


def _conform(table: pa.Table, spec: TableSpec) -> pa.Table:
    return table.select(spec.schema.names).replace_schema_metadata(None).cast(spec.schema)


def _pieces(minutes: Sequence[Interval], rows: int) -> Iterator[tuple[Interval, ...]]:
    """The minutes at once, or in pieces when they hold more trades than fit in memory."""
    if rows <= MOST_TRADES:
        yield tuple(minutes)
        return
    for start, end in minutes:
        for at in range(start, end, PIECE_MINUTES):
            yield ((at, min(at + PIECE_MINUTES, end)),)
