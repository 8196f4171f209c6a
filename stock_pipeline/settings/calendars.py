"""Which exchange calendar a symbol or a source follows, by the settings."""

from __future__ import annotations

from stock_pipeline.lib.sessions import DEFAULT_CALENDAR
from stock_pipeline.settings.model import Settings


def calendar_rules(settings: Settings) -> tuple[tuple[str, str], ...]:
    """(pattern, calendar) in order of precedence."""
    return tuple((rule.pattern, rule.calendar) for rule in settings.calendars)


def source_calendars(settings: Settings) -> dict[str, str]:
    """By source, the calendar of symbols that no rule matches."""
    given = [
        *((source, wanted.calendar) for source, wanted in settings.history.items()),
        *((feed.source, feed.calendar) for feed in settings.feeds.values()),
    ]
    named = {source: calendar for source, calendar in given if calendar}
    return dict.fromkeys((source for source, _ in given), DEFAULT_CALENDAR) | named
