"""Whether an exchange trades at an instant, and when it opens next. Instants are naive UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np
import pyarrow.compute as pc

from stock_pipeline.lib.sessions import dates_of

#: Before the open and after the close, as the US exchanges trade outside regular hours: from 04:00
#: to 20:00 in New York, and to 17:00 on a half day.
EXTENDED = (timedelta(hours=5, minutes=30), timedelta(hours=4))
REGULAR = (timedelta(0), timedelta(0))


def is_due(
    calendars: Iterable[str],
    tick: datetime,
    every: timedelta,
    margins: tuple[timedelta, timedelta] = REGULAR,
) -> bool:
    """Whether a tick falls into a session of one of the calendars, or is the last one after it.

    What was traded before the close is asked for by the one tick after it.

    Args:
        calendars: Names, as `sessions.dates_of` knows them.
        tick: When.
        every: From tick to tick.
        margins: How long before its open and after its close a session counts.
    """
    before, after = margins
    for calendar in calendars:
        opens, closes = _bounds(calendar)
        at = int(np.searchsorted(opens - np.timedelta64(before), np.datetime64(tick), "right"))
        if at and tick <= closes[at - 1].astype(object) + after + every:
            return True
    return False


def next_open(
    calendars: Iterable[str],
    instant: datetime,
    margins: tuple[timedelta, timedelta] = REGULAR,
) -> datetime | None:
    """When a session of one of the calendars begins next; None where none is known."""
    found = []
    for calendar in calendars:
        opens = _bounds(calendar)[0] - np.timedelta64(margins[0])
        at = int(np.searchsorted(opens, np.datetime64(instant), "right"))
        if at < len(opens):
            found.append(opens[at].astype(object))
    return min(found, default=None)


def _bounds(calendar: str) -> tuple[np.ndarray, np.ndarray]:
    table = dates_of(calendar)
    opens, closes = (
        pc.drop_null(table.column(name)).to_numpy() for name in ("session_open", "session_close")
    )
    return opens, closes
