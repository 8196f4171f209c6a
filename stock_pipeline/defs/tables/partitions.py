"""Which partitions of silver and gold Dagster lists, to materialize and to look at.

The lake may hold others: the refresh run makes whatever is due, and reports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_pipeline.lib.schemas import TableSpec
from stock_pipeline.lib.sessions import ALWAYS_OPEN, DEFAULT_CALENDAR, dates_of
from stock_pipeline.settings import Settings

#: Listed days after yesterday. An instant may be a day ahead of its arrival; the evening before a
#: long weekend belongs to the next session, on some exchanges.
DAYS_AHEAD, DAYS_AHEAD_OF_ONE_CALENDAR = 5, 2

_WEEKEND = "0 0 * * 6,0"
_SATURDAY = 5


@dataclass(frozen=True)
class Listed:
    """The partitions that Dagster lists.

    Attributes:
        days: Of tables by session date.
        years: Of tables by year.
    """

    days: dg.TimeWindowPartitionsDefinition
    years: dg.TimeWindowPartitionsDefinition

    def of(self, table: TableSpec) -> dg.TimeWindowPartitionsDefinition:
        """Those of a table."""
        return self.days if table.partition_column == "trade_date" else self.years

    def first(self, table: TableSpec) -> str:
        """Where the list of a table begins."""
        definition = self.of(table)
        return definition.start.strftime(definition.fmt)


def listed_partitions(settings: Settings) -> Listed:
    """The partitions that the settings list: without the days on which no session can be."""
    since = settings.partitions.intraday_since
    closed = _closed_days(settings, since)
    only_one = closed or _calendars(settings) == {ALWAYS_OPEN}
    return Listed(
        days=dg.TimeWindowPartitionsDefinition(
            start=since.isoformat(),
            fmt="%Y-%m-%d",
            cron_schedule="0 0 * * *",
            end_offset=DAYS_AHEAD_OF_ONE_CALENDAR if only_one else DAYS_AHEAD,
            exclusions=closed or None,
        ),
        years=dg.TimeWindowPartitionsDefinition(
            start=f"{settings.partitions.daily_since:04d}",
            fmt="%Y",
            cron_schedule="0 0 1 1 *",
            end_offset=1,
        ),
    )


def _calendars(settings: Settings) -> set[str]:
    """Every calendar that a symbol of the lake may follow."""
    given = [
        *(feed.calendar for feed in settings.feeds.values()),
        *(wanted.calendar for wanted in settings.history.values()),
    ]
    rules = {rule.calendar for rule in settings.calendars}
    return rules | {calendar or DEFAULT_CALENDAR for calendar in given}


def _closed_days(settings: Settings, since: date) -> list[str | datetime]:
    """Days without a session; none where symbols of several calendars, or of 24/7, may trade."""
    calendars = _calendars(settings)
    if len(calendars) > 1 or ALWAYS_OPEN in calendars:
        return []
    # exchange_calendars costs a second: only a lake of one exchange pays it.
    table = dates_of(*calendars)
    sessions = {
        day
        for day, opens in zip(
            table["trade_date"].to_pylist(), table["session_open"].to_pylist(), strict=True
        )
        if opens is not None and day >= since
    }
    if not sessions:
        return []
    weekends = not any(day.weekday() >= _SATURDAY for day in sessions)
    days = (since + timedelta(days=n) for n in range((max(sessions) - since).days))
    closed = [
        datetime(day.year, day.month, day.day, tzinfo=UTC)
        for day in days
        if day not in sessions and not (weekends and day.weekday() >= _SATURDAY)
    ]
    return [*([_WEEKEND] if weekends else []), *closed]
