"""What `stock-pipeline doctor` checks: one finding per dependency, in plain words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from stock_pipeline.doctor.aws import aws_findings
from stock_pipeline.doctor.finding import DoctorFinding, start_it
from stock_pipeline.doctor.kafka import kafka_findings
from stock_pipeline.lib.words import did_you_mean
from stock_pipeline.settings import Settings

GIBIBYTE = 1024**3
LEAST_FREE_BYTES = GIBIBYTE
FEW_FREE_BYTES = 5 * GIBIBYTE


def diagnose(settings: Settings) -> list[DoctorFinding]:
    """Check everything that the settings name; takes some seconds, more where nothing answers."""
    return [
        *kafka_findings(settings),
        *aws_findings(settings),
        *_calendar_findings(settings),
        _disk(settings.home),
        _dagster_home(settings),
    ]


def _calendar_findings(settings: Settings) -> Iterator[DoctorFinding]:
    from exchange_calendars import get_calendar_names

    known = sorted(get_calendar_names())
    named = {
        f"feeds.{name}.calendar": feed.calendar
        for name, feed in settings.feeds.items()
        if feed.calendar
    }
    named |= {
        f"history.{source}.calendar": wanted.calendar
        for source, wanted in settings.history.items()
        if wanted.calendar
    }
    named |= {f"calendars ({rule.pattern})": rule.calendar for rule in settings.calendars}
    unknown = {place: name for place, name in named.items() if name not in known}
    for place, name in unknown.items():
        yield DoctorFinding(
            "calendars",
            "failed",
            f"{place} names {name}, which is no exchange calendar{did_you_mean(name, known)}.",
            "Use a name that exchange_calendars knows, such as XNYS, XHKG or 24/7.",
        )
    if not unknown:
        answer = f"all {len(set(named.values()))} calendars are known"
        yield DoctorFinding("calendars", "ok", answer)


def _disk(home: Path) -> DoctorFinding:
    existing = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    answer = f"{free / GIBIBYTE:.1f} GiB free at {home}"
    if not os.access(existing, os.W_OK):
        return DoctorFinding(
            "disk",
            "failed",
            f"{existing} cannot be written to.",
            "Give this user write permission, or set STOCK_PIPELINE_HOME to another folder.",
        )
    remedy = "Free some space, or set STOCK_PIPELINE_HOME to a folder on a larger disk."
    if free < LEAST_FREE_BYTES:
        return DoctorFinding("disk", "failed", f"Only {answer}.", remedy)
    return DoctorFinding("disk", "warning" if free < FEW_FREE_BYTES else "ok", answer, remedy)


def _dagster_home(settings: Settings) -> DoctorFinding:
    named = os.environ.get("DAGSTER_HOME")
    # `dev` on Apache Kafka keeps everything one folder deeper.
    usual = [settings.home / "dagster", settings.home / "apache" / "dagster"]
    folder = next((f for f in usual if (f / "dagster.yaml").is_file()), usual[0])
    folder = Path(named) if named else folder
    if not named and settings.profile != "local":
        return DoctorFinding(
            "dagster home",
            "failed",
            "DAGSTER_HOME is not set: Dagster would use a temporary folder and forget its runs.",
            "Set DAGSTER_HOME to a folder that stays and holds dagster.yaml.",
        )
    if not (folder / "dagster.yaml").is_file():
        return DoctorFinding(
            "dagster home",
            "warning" if settings.profile == "local" and not named else "failed",
            f"{folder} holds no dagster.yaml.",
            start_it(settings, "Copy the project's dagster.yaml there."),
        )
    if not os.access(folder, os.W_OK):
        return DoctorFinding(
            "dagster home",
            "failed",
            f"{folder} cannot be written to.",
            "Give this user write permission, or set DAGSTER_HOME to another folder.",
        )
    return DoctorFinding("dagster home", "ok", str(folder))
