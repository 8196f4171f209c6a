from datetime import date, timedelta

import pyarrow as pa
import pytest

from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    SILVER_BARS_DAILY,
    SILVER_BARS_INTRADAY,
)
from stock_pipeline.tables import bars, checks
from stock_pipeline_tests.support.bar_tables import (
    CLOSE,
    DAY,
    OPEN,
    at,
    daily,
    epoch_minute,
    feed_daily,
    intraday,
    rows_of,
    sessions,
    trades,
    vendor_bars,
)

MINUTE = epoch_minute(OPEN)


def yearly(*symbols, value=252.0):
    return pa.table({"symbol": list(symbols), "sessions_per_year": [value] * len(symbols)})


def test_trades_of_a_minute_become_one_bar():
    made = bars.bars_from_trades(
        trades(
            {"event_time": at(0.1), "price": 10.0, "size": 1.0, "kafka_offset": 5},
            {"event_time": at(0.9), "price": 12.0, "size": 3.0, "kafka_offset": 6},
            {"event_time": at(0.5), "price": 9.0, "size": 0.0, "kafka_offset": 7},
            {"event_time": at(1.0), "price": 11.0, "size": 2.0, "kafka_offset": 8},
        ),
        "trades",
        sessions("A"),
    )
    assert made.schema == SILVER_BARS_INTRADAY
    first, second = made.to_pylist()
    assert (first["open"], first["high"], first["low"], first["close"]) == (10, 12, 9, 12)
    assert (first["bar_start"], first["interval"], first["source"]) == (OPEN, "1m", "trades")
    assert (first["volume"], first["trade_count"]) == (4.0, 3)
    assert first["vwap"] == pytest.approx((10 + 36) / 4)
    assert first["mean_price"] == pytest.approx(31 / 3)
    assert (first["session_open"], first["session_close"]) == (OPEN, CLOSE)
    assert first["sessions_per_year"] == 252
    assert first["kafka_offset"] == 7
    assert second["bar_start"] == at(1)
    assert checks.violations(BARS_INTRADAY_TABLE, made) == []


def test_vwap_of_trades_without_size_is_unknown():
    made = bars.bars_from_trades(trades({"price": 10.0, "size": 0.0}), "t", sessions("A"))
    assert rows_of(made, "vwap", "volume", "mean_price") == [(None, 0.0, 10.0)]


@pytest.mark.parametrize("column", ["incarnation", "kafka_partition", "kafka_offset"])
def test_trades_of_one_instant_are_ordered_by_where_they_came_from(column):
    made = bars.bars_from_trades(
        trades({"price": 12.0, column: 3}, {"price": 10.0, column: 2}), "t", sessions("A")
    )
    assert rows_of(made, "open", "close", column) == [(10.0, 12.0, 3)]


def test_a_trade_with_an_id_sent_twice_counts_once():
    made = bars.bars_from_trades(
        trades(
            {"price": 10.0, "trade_id": "1", "kafka_offset": 1},
            {"price": 10.0, "trade_id": "1", "kafka_offset": 2},
            {"price": 10.0, "trade_id": "1", "venue": "X", "kafka_offset": 3},
            {"price": 10.0, "trade_id": "1", "venue": "X", "kafka_offset": 9, "kafka_partition": 1},
            {"price": 10.0, "trade_id": "1", "symbol": "B", "kafka_offset": 4},
        ),
        "t",
        sessions("A", "B"),
    )
    assert rows_of(made, "symbol", "trade_count", "kafka_offset") == [("A", 2, 3), ("B", 1, 4)]


def test_identical_trades_without_id_are_real_fills():
    made = bars.bars_from_trades(
        trades({"price": 10.0, "kafka_offset": 1}, {"price": 10.0, "kafka_offset": 2}),
        "t",
        sessions("A"),
    )
    assert rows_of(made, "trade_count", "volume") == [(2, 2.0)]


def test_a_symbol_without_a_session_row_is_refused():
    with pytest.raises(ValueError, match="'B'"):
        bars.bars_from_trades(trades({"price": 1.0, "symbol": "B"}), "t", sessions("A"))
    with pytest.raises(ValueError, match="'B'"):
        bars.daily_bars(feed_daily({"close": 1.0, "symbol": "B"}), yearly("A"))


def test_a_date_without_session_leaves_the_bounds_empty():
    made = bars.bars_from_trades(trades({"price": 1.0}), "t", sessions("A", session=None))
    assert rows_of(made, "session_open", "session_close") == [(None, None)]


def test_no_trades_make_no_bars():
    made = bars.bars_from_trades(trades(), "t", sessions())
    assert made.schema == SILVER_BARS_INTRADAY
    assert made.num_rows == 0


LATER = [
    {"incarnation": 2, "kafka_timestamp": OPEN, "kafka_offset": 0},
    {"kafka_timestamp": at(1), "kafka_offset": 0},
    {"kafka_timestamp": OPEN, "kafka_partition": 1, "kafka_offset": 0},
    {"kafka_timestamp": OPEN, "kafka_offset": 6},
]


@pytest.mark.parametrize("later", LATER, ids=["incarnation", "timestamp", "partition", "offset"])
def test_of_a_vendor_bar_sent_again_the_later_record_wins(later):
    earlier = {"close": 1.0, "kafka_offset": 5}
    for rows in ([earlier, {"close": 2.0, **later}], [{"close": 2.0, **later}, earlier]):
        made = bars.bars_from_vendor(vendor_bars(*rows), sessions("A"))
        assert rows_of(made, "close") == [(2.0,)]
        made = bars.daily_bars(feed_daily(*rows), yearly("A"))
        assert rows_of(made, "close") == [(2.0,)]


def test_vendor_bars_are_one_per_symbol_interval_start_and_source():
    rows = [
        {"close": 1.0},
        {"close": 1.0, "symbol": "B"},
        {"close": 1.0, "interval": "5m"},
        {"close": 1.0, "bar_start": at(1)},
        {"close": 1.0, "source": "z"},
    ]
    made = bars.bars_from_vendor(vendor_bars(*rows, *rows), sessions("A", "B"))
    assert made.num_rows == len(rows)
    assert checks.violations(BARS_INTRADAY_TABLE, made) == []


def test_daily_bars_of_a_bar_feed_are_daily_and_not_intraday():
    rows = vendor_bars(
        {"close": 1.0, "interval": "1d", "adjusted_close": 0.5}, {"close": 2.0, "interval": "1h"}
    )
    made = bars.daily_from_vendor_bars(rows, yearly("A", value=365.0))
    assert made.schema == SILVER_BARS_DAILY
    assert rows_of(made, "trade_date", "close", "adjusted_close", "sessions_per_year") == [
        (DAY, 1.0, 0.5, 365.0)
    ]
    assert rows_of(bars.bars_from_vendor(rows, sessions("A")), "interval") == [("1h",)]


def test_daily_bars_of_many_years_keep_what_the_source_said():
    made = bars.daily_bars(
        feed_daily(
            {"close": 2.0, "trade_date": date(2020, 1, 2), "close_usd": 0.3},
            {"close": 1.0, "trade_date": date(1965, 1, 5), "adjusted_close": 0.25},
        ),
        yearly("A"),
    )
    assert rows_of(made, "trade_date", "close_usd", "adjusted_close", "bar_count") == [
        (date(1965, 1, 5), None, 0.25, None),
        (date(2020, 1, 2), 0.3, None, None),
    ]
    assert checks.violations(BARS_DAILY_TABLE, made) == []


def test_replacing_minutes_drops_only_that_sources_one_minute_bars():
    current = intraday(
        {"close": 1.0},
        {"close": 1.0, "bar_start": at(1)},
        {"close": 1.0, "bar_start": at(2)},
        {"close": 1.0, "bar_start": at(1), "interval": "5m"},
        {"close": 1.0, "bar_start": at(1), "source": "other"},
    )
    fresh = intraday({"close": 9.0, "bar_start": at(1)})
    made = bars.replace_minutes(current, fresh, [(MINUTE, MINUTE + 2)], "s")
    assert rows_of(made, "bar_start", "interval", "source", "close") == [
        (at(1), "1m", "other", 1.0),
        (at(1), "1m", "s", 9.0),
        (at(1), "5m", "s", 1.0),
        (at(2), "1m", "s", 1.0),
    ]


def test_replacing_minutes_of_a_new_partition_gives_the_fresh_bars():
    fresh = intraday({"close": 9.0, "bar_start": at(1)}, {"close": 8.0})
    made = bars.replace_minutes(None, fresh, [(MINUTE, MINUTE + 2)], "s")
    assert rows_of(made, "close") == [(8.0,), (9.0,)]


@pytest.mark.parametrize("stray", [{"bar_start": at(2)}, {"interval": "5m"}, {"source": "other"}])
def test_a_bar_outside_the_minutes_replaced_is_refused(stray):
    with pytest.raises(ValueError, match="two bars of one minute"):
        bars.replace_minutes(None, intraday({"close": 1.0, **stray}), [(MINUTE, MINUTE + 2)], "s")


def test_merging_keeps_the_latest_record_and_a_decoding_anew_of_the_same():
    key = BARS_DAILY_TABLE.key
    old = daily({"close": 1.0, "kafka_offset": 5})
    new = daily({"close": 2.0, "kafka_offset": 6}, {"close": 3.0, "source": "z"})
    assert rows_of(bars.merge_latest(old, new, key), "close") == [(2.0,), (3.0,)]
    assert rows_of(bars.merge_latest(new, old, key), "close") == [(2.0,), (3.0,)]
    again = daily({"close": 1.5, "kafka_offset": 5})
    assert rows_of(bars.merge_latest(old, again, key), "close") == [(1.5,)]
    empty = SILVER_BARS_DAILY.empty_table()
    assert bars.merge_latest(empty, empty, key).num_rows == 0


def test_a_partition_read_with_its_footer_merges_like_any_other():
    key = BARS_DAILY_TABLE.key
    old = daily({"close": 1.0}).replace_schema_metadata({b"stock_pipeline": b"{}"})
    made = bars.merge_latest(old, daily({"close": 2.0, "source": "z"}), key)
    assert rows_of(made, "source") == [("s",), ("z",)]
    assert made.schema.metadata is None


def test_a_day_rolls_up_its_regular_session():
    made = bars.roll_up(
        intraday(
            {"close": 99.0, "bar_start": at(-1)},
            {
                "open": 10.0,
                "high": 13.0,
                "low": 9.0,
                "close": 12.0,
                "volume": 5.0,
                "mean_price": 11.0,
                "trade_count": 3,
                "kafka_offset": 4,
            },
            {
                "open": 12.0,
                "high": 12.5,
                "low": 8.0,
                "close": 11.0,
                "adjusted_close": 5.5,
                "volume": 2.0,
                "mean_price": 9.0,
                "trade_count": 1,
                "bar_start": at(389),
                "kafka_offset": 3,
            },
            {"close": 99.0, "bar_start": CLOSE, "kafka_offset": 8},
        ),
        DAY,
    )
    assert made.schema == SILVER_BARS_DAILY
    [row] = made.to_pylist()
    assert (row["open"], row["high"], row["low"], row["close"]) == (10, 13, 8, 11)
    assert (row["volume"], row["adjusted_close"], row["trade_date"]) == (7.0, 5.5, DAY)
    assert row["mean_price"] == pytest.approx((33 + 9) / 4)
    assert (row["trade_count"], row["mean_close"], row["bar_count"]) == (4, 11.5, 2)
    assert row["kafka_offset"] == 4
    assert checks.violations(BARS_DAILY_TABLE, made) == []


def test_a_date_without_session_rolls_up_all_of_it():
    nowhere = {"session_open": None, "session_close": None}
    made = bars.roll_up(
        intraday({"close": 1.0, "bar_start": at(-600), **nowhere}, {"close": 2.0, **nowhere}), DAY
    )
    assert rows_of(made, "open", "close", "bar_count") == [(1.0, 2.0, 2)]


def test_each_source_rolls_up_its_finest_interval():
    made = bars.roll_up(
        intraday(
            {"close": 1.0, "interval": "1h"},
            {"close": 2.0, "interval": "5m"},
            {"close": 3.0, "interval": "5m", "bar_start": at(5)},
            {"close": 4.0, "interval": "30m", "source": "z"},
        ),
        DAY,
    )
    assert rows_of(made, "source", "close", "bar_count") == [("s", 3.0, 2), ("z", 4.0, 1)]


def test_a_day_of_vendor_bars_has_no_mean_trade_price():
    made = bars.roll_up(intraday({"close": 1.0, "trade_count": 7}), DAY)
    assert rows_of(made, "mean_price", "trade_count", "mean_close") == [(None, 7, 1.0)]


def test_a_day_of_bars_outside_the_session_only_has_no_daily_bar():
    assert bars.roll_up(intraday({"close": 1.0, "bar_start": at(-1)}), DAY).num_rows == 0


def test_the_minutes_of_epoch_are_those_of_the_instants():
    assert epoch_minute(OPEN + timedelta(seconds=59)) == MINUTE
