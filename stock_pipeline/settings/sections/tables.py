"""Settings of the silver and gold tables: calendars, windows, partitions, when they are made."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from stock_pipeline.settings.sections.section import Section

#: A year's volatilities read the bars of the two years before it: about 500 sessions.
WindowDays = Annotated[int, Field(ge=2, le=500)]


class CalendarRule(Section):
    """Symbols that match the pattern (fnmatch) follow this exchange calendar."""

    pattern: str
    calendar: str


class VolatilitySettings(Section):
    """Windows and constants of the gold tables."""

    windows: tuple[WindowDays, ...] = Field(default=(5, 20, 60, 250), min_length=1)
    #: With a smaller one the weights of a year of bars underflow a double.
    ewma_lambda: float = Field(default=0.94, ge=0.2, lt=1)
    sessions_per_year: float = Field(default=252, gt=0)
    sessions_per_year_247: float = Field(default=365, gt=0)


class RefreshSettings(Section):
    """When due silver and gold partitions are made."""

    min_interval_seconds: int = Field(default=30, ge=1)
    max_partitions: int = Field(default=400, ge=1)


class PartitionSettings(Section):
    """Where the list of partitions that Dagster shows begins; the lake may hold earlier ones."""

    #: Of tables by session date. The exchange calendars begin in 2000.
    intraday_since: date = Field(default=date(2000, 1, 1), ge=date(2000, 1, 1))
    #: Of tables by year.
    daily_since: int = Field(default=1960, ge=1900, le=2100)
