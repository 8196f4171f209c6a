"""Landed history: its keys, its CSV, what is asked for, what is over, and what is kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.history import bars as history
from stock_pipeline.lake.layout import Landed, landed_of_key, landing_key
from stock_pipeline.lib.formats.arrow import BARS
from stock_pipeline_tests.fuzz.names import ACCEPTED

YEAR = Landed("yahoo", "AAA", "1d", date(2024, 1, 1), date(2025, 1, 1))
MONTH = Landed("yahoo", "AAA", "1m", date(2024, 3, 1), date(2024, 4, 1))
MONDAY = datetime(2024, 6, 3, 12)


def day(trade_date: date, close: float = 10.0, **more: Any) -> dict[str, Any]:
    start = datetime.combine(trade_date, datetime.min.time())
    prices = {"open": close, "high": close, "low": close, "close": close, "volume": 5.0}
    named = {"symbol": "AAA", "source": "yahoo", "interval": "1d", "trade_date": trade_date}
    record = {"kafka_partition": 0, "kafka_offset": 0, "kafka_timestamp": MONDAY, "incarnation": 1}
    return dict.fromkeys(BARS.names) | prices | named | record | {"bar_start": start} | more


def bars(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), BARS)


def landed(*rows: dict[str, Any], at: datetime = MONDAY, of: Landed = YEAR) -> pa.Table:
    return history.landed_rows(bars(*rows), of, at, 1)


@pytest.mark.parametrize("symbol", [*ACCEPTED, "^GSPC", "BRK.B", ".", "..", "...", "EURUSD=X"])
def test_a_symbol_is_one_folder_of_the_key_and_comes_back(symbol: str) -> None:
    key = landing_key(YEAR._replace(symbol=symbol))
    assert len(key.split("/")) == 5
    assert not {".", "..", "..."} & set(key.split("/"))
    assert len(key.encode()) <= 1024
    assert landed_of_key(key) == YEAR._replace(symbol=symbol)


@given(st.text(min_size=1, max_size=64))
def test_two_symbols_never_share_a_key(symbol: str) -> None:
    try:
        key = landing_key(YEAR._replace(symbol=symbol))
    except UnicodeEncodeError:
        return
    found = landed_of_key(key)
    assert found is not None
    assert found.symbol == symbol


@pytest.mark.parametrize(
    "key",
    [
        "landing/yahoo/AAA/1d/2024-01-01_2025-01-01.parquet",
        "landing/yahoo/AAA/1d/2024-13-01_2025-01-01.csv",
        "landing/yahoo/%41AA/1d/2024-01-01_2025-01-01.csv",
        "landing/yahoo/AAA/2024-01-01_2025-01-01.csv",
        "landing/yahoo/../1d/2024-01-01_2025-01-01.csv",
        "silver/yahoo/AAA/1d/2024-01-01_2025-01-01.csv",
    ],
)
def test_other_keys_are_not_those_of_history(key: str) -> None:
    assert landed_of_key(key) is None


NUMBERS = st.floats(min_value=1e-9, max_value=1e15)


@given(
    st.lists(
        st.tuples(
            st.dates(YEAR.first, YEAR.end - timedelta(days=1)),
            NUMBERS,
            st.none() | NUMBERS,
            st.sampled_from(ACCEPTED),
        ),
        max_size=20,
    )
)
def test_what_is_written_is_read_again_and_the_same_rows_are_the_same_bytes(
    given_bars: list[tuple[date, float, float | None, str]],
) -> None:
    made = [day(d, close, adjusted_close=a, symbol=s) for d, close, a, s in given_bars]
    rows = landed(*made)
    body = history.to_csv(rows)
    assert history.from_csv(body).equals(rows)
    unique = {(row["symbol"], row["trade_date"]): row for row in reversed(made)}
    if len(unique) == len(made):
        assert history.to_csv(landed(*reversed(made))) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a,b\n1,2\n",
        b"\xff\xfe\x00",
        history.to_csv(landed(day(date(2024, 6, 3)))).replace(b"2024-06-03", b"yesterday"),
        history.to_csv(landed(day(date(2024, 6, 3)))).replace(b",10,", b",ten,"),
        history.to_csv(landed(day(date(2024, 6, 3)))).replace(b"2024-06-03,", b",", 1),
    ],
)
def test_what_is_no_landed_csv_is_refused(body: bytes) -> None:
    with pytest.raises(history.NotLandedError):
        history.from_csv(body)


def test_only_bars_of_the_interval_and_dates_belong_into_an_object() -> None:
    rows = landed(
        day(date(2023, 12, 31)),
        day(date(2024, 1, 1)),
        day(date(2024, 12, 31)),
        day(date(2025, 1, 1)),
        day(date(2024, 6, 3), interval="1h"),
    )
    assert rows["trade_date"].to_pylist() == [date(2024, 1, 1), date(2024, 12, 31)]


def test_what_is_repeated_keeps_its_time_and_what_changed_or_is_new_gets_one() -> None:
    later = MONDAY + timedelta(days=1)
    was = landed(day(date(2024, 1, 2)), day(date(2024, 1, 3)))
    fresh = landed(
        day(date(2024, 1, 3), 11), day(date(2024, 1, 2)), day(date(2024, 1, 4)), at=later
    )
    merged = history.merged(was, fresh)
    assert merged["close"].to_pylist() == [10, 11, 10]
    assert merged["fetched_at"].to_pylist() == [MONDAY, later, later]
    assert history.merged(merged, fresh).equals(merged)


def test_what_the_vendor_gives_no_more_is_kept() -> None:
    was = landed(day(date(2024, 1, 2)), day(date(2024, 1, 3)))
    assert history.merged(was, landed()).equals(was)


def test_a_day_whose_bar_begins_at_another_instant_is_the_same_day() -> None:
    moved = day(date(2024, 1, 2), 11, bar_start=datetime(2024, 1, 2, 5))
    assert history.merged(landed(day(date(2024, 1, 2))), landed(moved)).num_rows == 1


@pytest.mark.parametrize(
    ("now", "daily", "hourly"),
    [
        # A Monday in summer time: the session ends at 20:00 UTC, the date at 04:00.
        (datetime(2024, 6, 3, 19, 59), date(2024, 5, 31), date(2024, 6, 2)),
        (datetime(2024, 6, 3, 20, 0), date(2024, 6, 3), date(2024, 6, 2)),
        (datetime(2024, 6, 4, 4, 0), date(2024, 6, 3), date(2024, 6, 3)),
        # In winter time an hour later.
        (datetime(2024, 11, 4, 20, 59), date(2024, 11, 1), date(2024, 11, 3)),
        (datetime(2024, 11, 4, 21, 0), date(2024, 11, 4), date(2024, 11, 3)),
        # The day after Thanksgiving is over at 18:00 UTC.
        (datetime(2024, 11, 29, 17, 59), date(2024, 11, 27), date(2024, 11, 28)),
        (datetime(2024, 11, 29, 18, 0), date(2024, 11, 29), date(2024, 11, 28)),
    ],
)
def test_only_sessions_that_are_over_are_landed(now: datetime, daily: date, hourly: date) -> None:
    dates = [now.date() - timedelta(days=n) for n in range(5)]
    sessions = [d for d in dates if d.weekday() < 5 and d != date(2024, 11, 28)]
    rows = bars(*(day(d) for d in sessions), *(day(d, interval="1h") for d in dates))
    over = history.closed(rows, (), "XNYS", now).to_pylist()
    assert max(r["trade_date"] for r in over if r["interval"] == "1d") == daily
    assert max(r["trade_date"] for r in over if r["interval"] == "1h") == hourly


def test_each_symbol_is_over_by_its_own_calendar() -> None:
    rows = bars(day(date(2024, 6, 3)), day(date(2024, 6, 3), symbol="N225"))
    over = history.closed(rows, (("N225", "XTKS"),), "XNYS", datetime(2024, 6, 3, 10))
    assert over["symbol"].to_pylist() == ["N225"]


def test_a_month_is_asked_for_from_midnight_to_midnight_of_the_exchange_over_daylight_saving() -> (
    None
):
    # New York is at -5 on the first of March and at -4 on the first of April.
    expected = datetime(2024, 3, 1, 5, tzinfo=UTC), datetime(2024, 4, 1, 4, tzinfo=UTC)
    assert history.window(MONTH, "XNYS") == expected
    assert history.window(MONTH, "24/7")[0] == datetime(2024, 3, 1, tzinfo=UTC)
    # Of futures a date begins with the close of the session before.
    assert history.window(MONTH, "CMES")[0] < datetime(2024, 3, 1, tzinfo=UTC)


def test_the_months_of_a_calendar_join_without_gap_and_years_overlap() -> None:
    april = MONTH._replace(first=date(2024, 4, 1), end=date(2024, 5, 1))
    for calendar in ("XNYS", "XTKS", "CMES", "24/7"):
        assert history.window(MONTH, calendar)[1] == history.window(april, calendar)[0]
    start, end = history.window(YEAR, "XNYS")
    assert (start.date(), end.date()) == (date(2023, 12, 31), date(2025, 1, 2))


def test_intraday_bars_before_their_time_are_refused() -> None:
    with pytest.raises(ValueError, match="2000-01-01"):
        history.window(MONTH._replace(first=date(1999, 1, 1), end=date(1999, 2, 1)), "XNYS")


def test_days_belong_to_their_year_and_other_bars_to_their_date() -> None:
    assert history.partitions_of(landed(day(date(2024, 6, 3)))) == {("bars_daily", "2024")}
    hours = landed(day(date(2024, 3, 4), interval="1m"), of=MONTH)
    assert history.partitions_of(hours) == {("bars_intraday", "2024-03-04")}
    assert set(history.partitions_of_key(YEAR)) == {("bars_daily", "2024")}
    assert len(set(history.partitions_of_key(MONTH))) == 31


def test_in_silver_the_record_of_a_bar_is_its_fetch() -> None:
    (row,) = history.bronze_rows(landed(day(date(2024, 6, 3)))).to_pylist()
    assert (row["kafka_timestamp"], row["kafka_partition"]) == (MONDAY, history.NO_PARTITION)
