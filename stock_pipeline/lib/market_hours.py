"""Whether an exchange trades at an instant, and when it opens next. Instants are naive UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pyarrow.compute as pc

from stock_pipeline.lib.sessions import dates_of

#: How long before its open and after its close a session counts.
Margins = tuple[timedelta, timedelta]
REGULAR: Margins = (timedelta(0), timedelta(0))


def is_due(calendars: Mapping[str, Margins], tick: datetime, every: timedelta) -> bool:
    """Whether a tick falls into a session of one of the calendars, or is the last one after it.

    What was traded before the close is asked for by the one tick after it.

    Args:
        calendars: By name, as `sessions.dates_of` knows them.
        tick: When.
        every: From tick to tick.
    """
    for calendar, (before, after) in calendars.items():
        opens, closes = _bounds(calendar)
        at = int(np.searchsorted(opens - np.timedelta64(before), np.datetime64(tick), "right"))
        if at and tick <= closes[at - 1].astype(object) + after + every:
            return True
    return False


def next_open(calendars: Mapping[str, Margins], instant: datetime) -> datetime | None:
    """When a session of one of the calendars begins next; None where none is known."""
    found = []
    for calendar, (before, _) in calendars.items():
        opens = _bounds(calendar)[0] - np.timedelta64(before)
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
