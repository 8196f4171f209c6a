"""Landed history: bars of one symbol as CSV, each with the time when the vendor first gave it.

Pure functions. Silver orders two records of one bar, live or from history, by (incarnation, time,
...). So a landed bar has both, and keeps them as long as the vendor repeats the same bar.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from stock_pipeline.errors import UserError
from stock_pipeline.lake.layout import Landed
from stock_pipeline.lib.formats.arrow import BARS, TIMESTAMP
from stock_pipeline.lib.schemas import landed_table
from stock_pipeline.lib.sessions import FIRST_DAY, calendar_of, dates_of

DAILY = "1d"
#: In `kafka_partition` of silver rows that came from history.
NO_PARTITION = -1

_GIVEN = [
    "symbol",
    "trade_date",
    "bar_start",
    "interval",
    "open",
    "high",
    "low",
    "close",
    "adjusted_close",
    "volume",
    "vwap",
    "trade_count",
    "source",
]
#: Columns of a landed CSV. Times are UTC, prices in the currency of the listing, volume in units.
LANDING = pa.schema(
    [
        *(BARS.field(name) for name in _GIVEN),
        #: When the vendor first gave the bar with these values.
        pa.field("fetched_at", TIMESTAMP, nullable=False),
        #: Incarnation of the live topics at that time: orders the bar among live ones.
        pa.field("incarnation", pa.int32(), nullable=False),
    ]
)
_AWARE = pa.timestamp("us", "UTC")
_TYPES = {f.name: _AWARE if f.type == TIMESTAMP else f.type for f in LANDING}


class NotLandedError(UserError):
    """The bytes are not a landed CSV."""


def landed_rows(bars: pa.Table, landed: Landed, fetched_at: datetime, incarnation: int) -> pa.Table:
    """The vendor's bars that belong into an object; of a bar that came twice, the last one.

    Args:
        bars: BARS, as they were decoded.
        landed: The object, by interval and trade_dates.
        fetched_at: Naive UTC.
        incarnation: Incarnation of the live topics.

    Returns:
        LANDING, sorted.
    """
    picked = bars.filter(
        (pc.field("interval") == landed.interval)
        & (pc.field("trade_date") >= pa.scalar(landed.first, pa.date32()))
        & (pc.field("trade_date") < pa.scalar(landed.end, pa.date32()))
    ).select(_GIVEN)
    known = {"fetched_at": fetched_at, "incarnation": incarnation}
    for name, value in known.items():
        said = pa.scalar(value, LANDING.field(name).type)
        picked = picked.append_column(name, pa.repeat(said, picked.num_rows))
    return merged(LANDING.empty_table(), picked.cast(LANDING))


def closed(
    bars: pa.Table, rules: Sequence[tuple[str, str]], default: str, now: datetime
) -> pa.Table:
    """The bars that are final: daily bars after their session, others after their date.

    Args:
        bars: BARS or LANDING.
        rules: (symbol pattern, calendar) in order of precedence.
        default: Calendar of symbols that no rule matches.
        now: Naive UTC.
    """
    over = np.zeros(bars.num_rows, dtype=bool)
    symbols = bars["symbol"].to_numpy()
    days = bars["trade_date"].cast(pa.int32()).to_numpy()
    daily = pc.equal(bars["interval"], DAILY).to_numpy()
    for symbol in set(symbols.tolist()):
        calendar = calendar_of(symbol, rules, default)
        mine = symbols == symbol
        for whole in (True, False):
            last = _last_closed(calendar, now, daily=whole)
            over |= mine & (daily == whole) & (days <= (last - date(1970, 1, 1)).days)
    return bars.filter(pa.array(over))


def _last_closed(calendar: str, now: datetime, *, daily: bool) -> date:
    """The last trade_date that is over: after its session or, without one, after its end."""
    dates = dates_of(calendar)
    ends = pc.coalesce(dates["session_close"], dates["end"]) if daily else dates["end"]
    over = dates["trade_date"].filter(pc.less_equal(ends, pa.scalar(now, TIMESTAMP)))
    return pc.max(over).as_py() or FIRST_DAY


def window(landed: Landed, calendar: str) -> tuple[datetime, datetime]:
    """What to ask a vendor for: the half-open span, aware UTC, of an object's trade_dates.

    For daily bars it is a day longer on both sides, since vendors date days in different zones.
    """
    if landed.interval == DAILY:
        start, end = (datetime.combine(d, time(), UTC) for d in (landed.first, landed.end))
        return start - timedelta(days=1), end + timedelta(days=1)
    dates = dates_of(calendar)
    inside = dates.filter(
        (pc.field("trade_date") >= pa.scalar(landed.first, pa.date32()))
        & (pc.field("trade_date") < pa.scalar(landed.end, pa.date32()))
    )
    if not inside.num_rows:
        raise ValueError(f"Intraday bars begin at {FIRST_DAY}; {landed.first} has none.")
    start, end = inside["start"][0].as_py(), inside["end"][-1].as_py()
    return start.replace(tzinfo=UTC), end.replace(tzinfo=UTC)


def merged(was: pa.Table, fresh: pa.Table) -> pa.Table:
    """The content of an object after a fetch.

    A bar that the vendor repeats keeps its time. A bar that the vendor has changed is replaced. A
    bar that the vendor no longer gives stays, since vendors only reach back so far.

    Args:
        was: LANDING as the object holds it.
        fresh: LANDING as it was fetched.
    """
    rows = {_key_of(row): row for row in was.to_pylist()}
    for row in fresh.to_pylist():
        old = rows.get(_key_of(row))
        if old is None or any(old[name] != row[name] for name in _GIVEN):
            rows[_key_of(row)] = row
    return pa.Table.from_pylist([rows[key] for key in sorted(rows)], LANDING)


def _key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Key of a bar. A day has one bar, whatever start the vendor gives it."""
    start = "" if row["interval"] == DAILY else row["bar_start"].isoformat()
    return row["symbol"], row["trade_date"], start


def to_csv(rows: pa.Table) -> bytes:
    """LANDING as CSV; the same rows give the same bytes."""
    body = io.BytesIO()
    pa.csv.write_csv(rows.cast(pa.schema(_TYPES.items())), body)
    return body.getvalue()


def from_csv(body: bytes) -> pa.Table:
    """Read LANDING from a CSV.

    Raises:
        NotLandedError: It is not a landed CSV.
    """
    try:
        table = pa.csv.read_csv(
            io.BytesIO(body),
            convert_options=pa.csv.ConvertOptions(
                column_types=_TYPES,
                include_columns=list(_TYPES),
                null_values=[""],
                strings_can_be_null=False,
            ),
        )
        rows = table.cast(LANDING)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise NotLandedError(str(error).splitlines()[0]) from error
    missing = [f.name for f in LANDING if not f.nullable and rows[f.name].null_count]
    if missing:
        raise NotLandedError(f"Column {missing[0]} has no value in some rows.")
    return rows


def bronze_rows(rows: pa.Table) -> pa.Table:
    """Landed bars as BARS, like those of a feed; the fetch takes the place of the record."""
    columns = {name: rows[name] for name in LANDING.names}
    columns["kafka_timestamp"] = rows["fetched_at"]
    columns["kafka_partition"] = pa.repeat(pa.scalar(NO_PARTITION, pa.int32()), rows.num_rows)
    columns["kafka_offset"] = pa.array(np.arange(rows.num_rows))
    return pa.table([columns[f.name].cast(f.type) for f in BARS], schema=BARS)


def partitions_of(rows: pa.Table) -> set[tuple[str, str]]:
    """Table and partition of silver that landed bars belong to."""
    found = rows.select(["interval", "trade_date"]).group_by(["interval", "trade_date"])
    return {_place(r["interval"], r["trade_date"]) for r in found.aggregate([]).to_pylist()}


def partitions_of_key(landed: Landed) -> Iterator[tuple[str, str]]:
    """Table and partition of silver that an object's bars belong to, from its key alone."""
    for n in range((landed.end - landed.first).days):
        yield _place(landed.interval, landed.first + timedelta(days=n))


def _place(interval: str, day: date) -> tuple[str, str]:
    table = landed_table(daily=interval == DAILY)
    by_year = table.partition_column == "year"
    return table.name, f"{day.year:04d}" if by_year else day.isoformat()
