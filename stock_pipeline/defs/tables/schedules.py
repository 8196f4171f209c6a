"""The roll-up after each exchange's close."""

import dagster as dg

from stock_pipeline.defs.shared.schedules import schedule
from stock_pipeline.defs.tables.refresh import roll_up_job
from stock_pipeline.lib.sessions import DEFAULT_CALENDAR, timezone_of
from stock_pipeline.settings import Settings

#: Local time after the regular close of exchanges, where vendors have the day's bars.
AFTER_CLOSE = {
    "24/7": ("10 0 * * *", "UTC"),
    "XNYS": ("15 17 * * 1-5", "America/New_York"),
    "XNAS": ("15 17 * * 1-5", "America/New_York"),
    "XTSE": ("15 17 * * 1-5", "America/Toronto"),
    "XLON": ("30 17 * * 1-5", "Europe/London"),
    "XFRA": ("30 18 * * 1-5", "Europe/Berlin"),
    "XETR": ("30 18 * * 1-5", "Europe/Berlin"),
    "XPAR": ("30 18 * * 1-5", "Europe/Paris"),
    "XSWX": ("30 18 * * 1-5", "Europe/Zurich"),
    "XJSE": ("15 18 * * 1-5", "Africa/Johannesburg"),
    "XHKG": ("15 17 * * 1-5", "Asia/Hong_Kong"),
    "XTKS": ("15 16 * * 1-5", "Asia/Tokyo"),
    "XSHG": ("15 16 * * 1-5", "Asia/Shanghai"),
    "XBOM": ("15 17 * * 1-5", "Asia/Kolkata"),
    "XTAI": ("15 15 * * 1-5", "Asia/Taipei"),
}


def calendars_used(settings: Settings) -> list[str]:
    """Distinct calendars of the feeds and the symbol rules."""
    feeds = {feed.calendar or DEFAULT_CALENDAR for feed in settings.feeds.values()}
    return sorted(feeds | {rule.calendar for rule in settings.calendars})


def _after_close(calendar: str) -> tuple[str, str]:
    """Cron and time zone after a calendar's close; others are asked from exchange_calendars."""
    if calendar in AFTER_CLOSE:
        return AFTER_CLOSE[calendar]
    # Importing exchange_calendars costs a second, so only for exchanges that are not listed.
    return "0 20 * * 1-5", timezone_of(calendar)


def _schedule(calendar: str) -> dg.ScheduleDefinition:
    cron, timezone = _after_close(calendar)
    return schedule(
        f"after_close_{calendar.replace('/', '_').lower()}",
        roll_up_job,
        cron,
        f"Roll the day up after the close of {calendar}, in the exchange's time zone.",
        timezone,
    )


def roll_ups(settings: Settings) -> list[dg.ScheduleDefinition]:
    """One schedule for each calendar of the settings."""
    return [_schedule(calendar) for calendar in calendars_used(settings)]
