"""When an exchange is asked: its sessions, half days, daylight saving, and the tick after."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from stock_pipeline.lib.market_hours import REGULAR, Margins, is_due, next_open

FIVE = timedelta(minutes=5)
#: From 04:00 to 20:00 in New York, and to 17:00 on a half day.
EXTENDED = (timedelta(hours=5, minutes=30), timedelta(hours=4))


def due_between(calendar: str, first: str, last: str, margins: Margins = REGULAR) -> str:
    """The first and the last due tick of a stretch, as times of UTC."""
    at, found = datetime.fromisoformat(first), []
    while at <= datetime.fromisoformat(last):
        if is_due({calendar: margins}, at, FIVE):
            found.append(at)
        at += FIVE
    assert found == [found[0] + n * FIVE for n in range(len(found))]
    return f"{found[0]:%H:%M} {found[-1]:%H:%M}"


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("2026-01-05", "14:30 21:05"),  # winter
        ("2026-03-06", "14:30 21:05"),  # the Friday before the clocks change
        ("2026-03-09", "13:30 20:05"),  # the Monday after
        ("2026-10-30", "13:30 20:05"),
        ("2026-11-02", "14:30 21:05"),
        ("2026-11-27", "14:30 18:05"),  # a half day
    ],
)
def test_ticks_go_from_the_open_to_one_after_the_close(day: str, hours: str) -> None:
    assert due_between("XNYS", f"{day}T00:00", f"{day}T23:55") == hours


def test_extended_hours_are_those_of_new_york_also_on_a_half_day() -> None:
    assert due_between("XNYS", "2026-01-05T02:00", "2026-01-06T04:00", EXTENDED) == "09:00 01:05"
    assert due_between("XNYS", "2026-11-27T02:00", "2026-11-28T04:00", EXTENDED) == "09:00 22:05"


@pytest.mark.parametrize("day", ["2026-07-03", "2026-11-26", "2026-11-28"])
def test_nobody_is_asked_on_holidays_and_weekends(day: str) -> None:
    assert not any(
        is_due({"XNYS": REGULAR}, datetime.fromisoformat(f"{day}T{hour:02}:00"), FIVE)
        for hour in range(24)
    )


def test_the_next_open_is_the_earliest_of_all_exchanges() -> None:
    friday = datetime(2026, 11, 27, 19)
    assert next_open({"XNYS": REGULAR}, friday) == datetime(2026, 11, 30, 14, 30)
    both = dict.fromkeys(["XNYS", "XTKS"], REGULAR)
    assert next_open(both, friday) == datetime(2026, 11, 30, 0, 0)
    assert next_open({"XNYS": EXTENDED}, friday) == datetime(2026, 11, 30, 9, 0)
    assert next_open({"XNYS": REGULAR}, datetime(2100, 1, 1)) is None


def test_a_market_that_never_closes_is_always_asked() -> None:
    assert is_due({"24/7": REGULAR}, datetime(2026, 1, 3, 7), FIVE)
    assert is_due(dict.fromkeys(["XNYS", "24/7"], REGULAR), datetime(2026, 12, 25), FIVE)
