from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from stock_pipeline.lib import sessions

RULES = [("SIM-*", "24/7"), ("ES*", "CMES")]


def dates(calendar: str, *instants: datetime) -> list[date]:
    times = pa.array(instants, pa.timestamp("us"))
    found = sessions.trade_dates(pa.array(["X"] * len(instants)), times, [], calendar)
    return list(found.to_pylist())


@pytest.mark.parametrize(
    "calendar", ["XNYS", "24/7", "CMES", "us_futures", "XTKS", "XHKG", "BVMF", "XJSE", "24/5"]
)
def test_every_instant_lies_in_exactly_one_interval(calendar: str) -> None:
    table = sessions.dates_of(calendar)
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    assert (starts[1:] == ends[:-1]).all()
    assert (starts < ends).all()
    assert starts[0] < np.datetime64("2000-01-01")
    assert ends[-1] > np.datetime64("today") + np.timedelta64(350, "D")
    assert len(set(table["trade_date"].to_pylist())) == table.num_rows


@pytest.mark.parametrize("calendar", ["XNYS", "24/7", "CMES", "XTKS"])
def test_a_session_lies_within_its_dates_interval(calendar: str) -> None:
    for row in sessions.dates_of(calendar).to_pylist():
        if row["session_open"] is not None:
            assert row["start"] <= row["session_open"] < row["session_close"] <= row["end"]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2024, 3, 8), (datetime(2024, 3, 8, 14, 30), datetime(2024, 3, 8, 21))),
        (date(2024, 3, 11), (datetime(2024, 3, 11, 13, 30), datetime(2024, 3, 11, 20))),
        (date(2024, 11, 1), (datetime(2024, 11, 1, 13, 30), datetime(2024, 11, 1, 20))),
        (date(2024, 11, 4), (datetime(2024, 11, 4, 14, 30), datetime(2024, 11, 4, 21))),
        (date(2024, 11, 29), (datetime(2024, 11, 29, 14, 30), datetime(2024, 11, 29, 18))),
        (date(2024, 11, 28), None),
        (date(2024, 11, 30), None),
    ],
)
def test_new_york_sessions_follow_daylight_saving_half_days_and_holidays(
    day: date, expected: tuple[datetime, datetime] | None
) -> None:
    assert sessions.session_of("XNYS", day) == expected


def test_new_york_dates_change_at_local_midnight_on_both_sides_of_daylight_saving() -> None:
    second = timedelta(seconds=1)
    for midnight in (datetime(2024, 3, 10, 5), datetime(2024, 3, 11, 4), datetime(2024, 11, 3, 4)):
        before, after = dates("XNYS", midnight - second, midnight)
        assert after - before == timedelta(days=1)
    assert dates("XNYS", datetime(2024, 11, 4, 4, 59), datetime(2024, 11, 4, 5)) == [
        date(2024, 11, 3),
        date(2024, 11, 4),
    ]


def test_before_and_after_hours_belong_to_the_local_date_of_the_session() -> None:
    assert dates("XNYS", datetime(2024, 3, 8, 9), datetime(2024, 3, 9, 0, 59)) == [
        date(2024, 3, 8),
        date(2024, 3, 8),
    ]


def test_tokyo_opens_on_the_utc_date_before_noon_and_keeps_its_local_date() -> None:
    assert sessions.session_of("XTKS", date(2024, 3, 8)) == (
        datetime(2024, 3, 8, 0),
        datetime(2024, 3, 8, 6),
    )
    assert dates("XTKS", datetime(2024, 3, 7, 14, 59), datetime(2024, 3, 7, 15)) == [
        date(2024, 3, 7),
        date(2024, 3, 8),
    ]


def test_futures_after_the_close_belong_to_the_next_session() -> None:
    friday_close = datetime(2024, 3, 8, 23)
    assert dates("CMES", friday_close - timedelta(seconds=1)) == [date(2024, 3, 8)]
    assert dates("CMES", friday_close, datetime(2024, 3, 10, 22)) == [date(2024, 3, 11)] * 2


def test_around_the_clock_the_date_is_that_of_utc() -> None:
    assert dates("24/7", datetime(2024, 3, 9, 23, 59, 59), datetime(2024, 3, 10)) == [
        date(2024, 3, 9),
        date(2024, 3, 10),
    ]
    assert sessions.session_of("24/7", date(2024, 3, 10)) == (
        datetime(2024, 3, 10),
        datetime(2024, 3, 11),
    )


def test_outside_the_calendar_the_date_is_the_local_one() -> None:
    assert dates("XNYS", datetime(2150, 1, 2, 3), datetime(1995, 1, 2, 3)) == [
        date(2150, 1, 1),
        date(1995, 1, 1),
    ]


def test_each_symbol_follows_its_own_calendar() -> None:
    instant = datetime(2024, 3, 9, 1)
    symbols = pa.array(["SIM-A", "IBM", "ESH4", "SIM-B"])
    found = sessions.trade_dates(symbols, pa.array([instant] * 4), RULES, "XNYS")
    assert found.to_pylist() == [
        date(2024, 3, 9),
        date(2024, 3, 8),
        date(2024, 3, 11),
        date(2024, 3, 9),
    ]


def test_the_first_rule_that_matches_names_the_calendar() -> None:
    rules = [("A*", "XNYS"), ("AB*", "XTKS")]
    assert sessions.calendar_of("ABC", rules, "24/7") == "XNYS"
    assert sessions.calendar_of("abc", rules, "24/7") == "24/7"


def test_symbols_without_session_on_a_date_have_none() -> None:
    table = sessions.symbol_sessions(
        ["IBM", "SIM-A", "IBM"], date(2024, 3, 9), RULES, "XNYS", 252, 365
    )
    assert table.schema.equals(sessions.SYMBOL_SESSIONS)
    assert table.to_pylist() == [
        {
            "symbol": "IBM",
            "session_open": None,
            "session_close": None,
            "sessions_per_year": 252.0,
        },
        {
            "symbol": "SIM-A",
            "session_open": datetime(2024, 3, 9),
            "session_close": datetime(2024, 3, 10),
            "sessions_per_year": 365.0,
        },
    ]
    assert sessions.symbol_sessions([], date(2024, 3, 9), RULES, "XNYS", 252, 365).num_rows == 0


def test_an_unknown_calendar_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="'NOPE' is no exchange calendar"):
        sessions.dates_of("NOPE")
