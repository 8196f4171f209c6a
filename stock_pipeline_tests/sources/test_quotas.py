"""Quotas: over processes, restarts, days of another zone and clocks that were set back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources.errors import DailyLimitError, UnavailableError
from stock_pipeline.sources.quotas import Quotas

NEW_YORK = ZoneInfo("America/New_York")


class Clock:
    def __init__(self, start: datetime) -> None:
        self.now = start.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 1, 5, 15, tzinfo=UTC))


MakeQuotas = Callable[..., Quotas]


@pytest.fixture
def quotas(tmp_path: Path, clock: Clock) -> MakeQuotas:
    def make(key: str = "one", **limits: Any) -> Quotas:
        settings = SourceSettings(api_key=SecretStr(key), **limits)
        return Quotas(tmp_path, "Vendor", settings, NEW_YORK, clock)

    return make


def test_the_wait_ends_when_a_request_of_the_window_is_over(
    quotas: MakeQuotas, clock: Clock
) -> None:
    account = quotas(requests_per_second=2, requests_per_minute=3)
    assert account.take() == 0
    clock.now += 0.25
    assert account.take() == 0
    assert account.take() == pytest.approx(0.75)
    clock.now += 0.75
    assert account.take() == 0
    clock.now += 5
    assert account.take() == pytest.approx(60 - 6)
    clock.now += 54
    assert account.take() == 0


def test_a_day_is_that_of_the_vendor(quotas: MakeQuotas, clock: Clock) -> None:
    account = quotas(requests_per_day=1)
    clock.now = datetime(2026, 1, 6, 4, 59, tzinfo=UTC).timestamp()  # 23:59 in New York
    assert account.take() == 0
    with pytest.raises(DailyLimitError, match=r"from 2026-01-06 00:00 EST on") as caught:
        account.take()
    assert caught.value.until == datetime(2026, 1, 6, 5, tzinfo=UTC)
    clock.now += 60
    assert account.take() == 0


@pytest.mark.parametrize(("day", "hours"), [(8, 23), (1, 25)])
def test_days_of_23_and_25_hours_end_at_midnight(
    quotas: MakeQuotas, clock: Clock, day: int, hours: int
) -> None:
    month = 3 if hours == 23 else 11
    start = datetime(2026, month, day, tzinfo=NEW_YORK)
    clock.now = start.timestamp()
    account = quotas(requests_per_day=1)
    account.take()
    clock.now += hours * 3600 - 1
    with pytest.raises(DailyLimitError):
        account.take()
    clock.now += 1
    assert account.take() == 0


def test_a_restart_forgets_nothing_and_another_key_has_its_own(quotas: MakeQuotas) -> None:
    quotas(requests_per_day=2).take()
    quotas(requests_per_day=2).take()
    with pytest.raises(DailyLimitError):
        quotas(requests_per_day=2).take()
    assert quotas("two", requests_per_day=2).take() == 0


def test_what_the_vendor_announced_holds_until_its_next_day(
    quotas: MakeQuotas, clock: Clock
) -> None:
    until = quotas().stop_today().until
    with pytest.raises(DailyLimitError):
        quotas().take()
    clock.now = until.timestamp()
    assert quotas().take() == 0


def test_a_clock_that_was_set_back_does_not_lock_out(quotas: MakeQuotas, clock: Clock) -> None:
    account = quotas(requests_per_minute=1)
    account.take()
    clock.now -= 3600
    assert account.take() == 0


def test_processes_that_ask_at_once_share_a_quota(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from datetime import UTC\n"
        "from pathlib import Path\n"
        "from stock_pipeline.settings.sections.sources import SourceSettings\n"
        "from stock_pipeline.sources.quotas import Quotas\n"
        "quotas = Quotas(Path(sys.argv[1]), 'V', SourceSettings(requests_per_minute=50), UTC)\n"
        "print(sum(quotas.take() == 0 for _ in range(40)))\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert sum(int(process.communicate(timeout=60)[0]) for process in running) == 50


def test_a_damaged_file_is_one_sentence_that_tells_what_to_do(
    quotas: MakeQuotas, tmp_path: Path
) -> None:
    (tmp_path / "quotas.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(UnavailableError, match=r"quotas\.sqlite cannot be .* delete it"):
        quotas().take()


def test_the_key_is_not_in_the_file(quotas: MakeQuotas, tmp_path: Path) -> None:
    quotas("a-secret-key").take()
    assert b"secret" not in (tmp_path / "quotas.sqlite").read_bytes()


def test_what_is_left_of_the_day_is_known_without_asking(quotas: MakeQuotas, clock: Clock) -> None:
    assert quotas().left_today() is None
    assert quotas(requests_per_day=3).left_today() == 3
    quotas(requests_per_day=3).take()
    assert [quotas(requests_per_day=3).left_today() for _ in range(3)] == [2, 2, 2]
    quotas(requests_per_day=3).stop_today()
    for limits in ({}, {"requests_per_day": 3}):
        with pytest.raises(DailyLimitError, match="2026-01-06 00:00 EST"):
            quotas(**limits).left_today()
    clock.now += 86_400
    assert quotas(requests_per_day=3).left_today() == 3
