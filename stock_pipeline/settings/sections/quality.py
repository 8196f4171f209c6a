"""Settings of the data quality checks: thresholds from which they warn."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from stock_pipeline.settings.sections.section import Section


class ExtendedHours(Section):
    """Trading outside the regular session, in minutes."""

    before_open: int = Field(ge=0, le=1440)
    after_close: int = Field(ge=0, le=1440)

    @property
    def margins(self) -> tuple[timedelta, timedelta]:
        """Before the open and after the close, as durations."""
        return timedelta(minutes=self.before_open), timedelta(minutes=self.after_close)


class QualitySettings(Section):
    """Thresholds of the checks that warn (docs/quality.md)."""

    #: If false, the checks exist and report nothing.
    enabled: bool = True
    zscore: float = Field(default=3.5, gt=0)
    outlier_floor_daily: float = Field(default=0.15, ge=0)
    outlier_floor_intraday: float = Field(default=0.05, ge=0)
    stale_sessions: int = Field(default=3, ge=2)
    stale_minutes: int = Field(default=60, ge=2)
    gap_minutes: int = Field(default=15, ge=1)
    #: Allowed distance, in log, of a step from a factor of 100. From half of ln 100 on, every step
    #: would count as such an error.
    scale_tolerance: float = Field(default=0.25, gt=0, le=1)
    split_tolerance: float = Field(default=0.05, gt=0, le=0.2)
    volume_zero_share: float = Field(default=0.2, ge=0, le=1)
    source_tolerance: float = Field(default=0.01, gt=0)
    extended_hours: dict[str, ExtendedHours] = Field(
        default={"XNYS": ExtendedHours(before_open=330, after_close=240)}
    )
    extended_hours_default: ExtendedHours = ExtendedHours(before_open=60, after_close=60)
