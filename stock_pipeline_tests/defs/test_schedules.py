"""The roll-up schedules: one per calendar of the settings, after the exchange's close."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stock_pipeline.defs.tables.schedules import AFTER_CLOSE, calendars_used, roll_ups
from stock_pipeline.lib.sessions import session_of, timezone_of
from stock_pipeline.settings import load_settings

SETTINGS = load_settings()

#: The regular close also when daylight saving differs; Tuesdays to Thursdays without a holiday.
DATES = (date(2025, 1, 14), date(2025, 7, 9))


def test_every_calendar_of_the_settings_has_one_schedule():
    schedules = roll_ups(SETTINGS)
    assert len(schedules) == len(calendars_used(SETTINGS)) == len({s.name for s in schedules})


@pytest.mark.parametrize("calendar", sorted(AFTER_CLOSE))
def test_the_schedule_runs_within_three_hours_after_the_close(calendar):
    cron, zone = AFTER_CLOSE[calendar]
    minute, hour = (int(part) for part in cron.split()[:2])
    for day in DATES:
        session = session_of(calendar, day)
        assert session
        close = session[1].replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        run = datetime(close.year, close.month, close.day, hour, minute, tzinfo=ZoneInfo(zone))
        assert timedelta(0) < run - close <= timedelta(hours=3)


@pytest.mark.parametrize("calendar", ["XNYS", "XTKS"])
def test_the_time_zone_is_the_exchanges(calendar):
    assert AFTER_CLOSE[calendar][1] == timezone_of(calendar)
