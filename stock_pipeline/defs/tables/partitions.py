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
        closed: ISO dates that the list of days leaves out.
    """

    days: dg.TimeWindowPartitionsDefinition
    years: dg.TimeWindowPartitionsDefinition
    closed: frozenset[str]

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
            exclusions=_exclusions(closed) or None,
        ),
        years=dg.TimeWindowPartitionsDefinition(
            start=f"{settings.partitions.daily_since:04d}",
            fmt="%Y",
            cron_schedule="0 0 1 1 *",
            end_offset=1,
        ),
        closed=frozenset(day.isoformat() for day in closed),
    )


def _calendars(settings: Settings) -> set[str]:
    """Every calendar that a symbol of the lake may follow."""
    given = [
        *(feed.calendar for feed in settings.feeds.values()),
        *(wanted.calendar for wanted in settings.history.values()),
    ]
    rules = {rule.calendar for rule in settings.calendars}
    return rules | {calendar or DEFAULT_CALENDAR for calendar in given}


def _closed_days(settings: Settings, since: date) -> list[date]:
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
    days = (since + timedelta(days=n) for n in range((max(sessions) - since).days))
    return [day for day in days if day not in sessions]


def _exclusions(closed: list[date]) -> list[str | datetime]:
    """Closed days as Dagster takes them: weekends by a rule that has no end, where all are."""
    weekends = [day for day in closed if day.weekday() >= _SATURDAY]
    if not closed:
        return []
    span = (closed[0] + timedelta(days=n) for n in range((closed[-1] - closed[0]).days + 1))
    always = len(weekends) == sum(day.weekday() >= _SATURDAY for day in span)
    single = [day for day in closed if not (always and day.weekday() >= _SATURDAY)]
    return [
        *([_WEEKEND] if always else []),
        *(datetime(day.year, day.month, day.day, tzinfo=UTC) for day in single),
    ]
