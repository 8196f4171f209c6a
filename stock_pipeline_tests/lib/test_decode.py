from __future__ import annotations

from datetime import date, datetime
from time import process_time
from typing import Any

import pyarrow as pa
import pytest

from stock_pipeline.lib.decode import Decoded, Decoder
from stock_pipeline.lib.schemas import BRONZE_SCHEMAS, QUARANTINE
from stock_pipeline_tests.lib.records import (
    ABSENT,
    BAR,
    INDEX_ROW,
    TRADE,
    VALID,
    VENDOR_BAR,
    as_json,
    document,
    records,
)

ANY_FORMAT = pytest.mark.parametrize("format_", sorted(BRONZE_SCHEMAS))


def decode(format_: str, *payloads: bytes | None, calendar: str = "XNYS") -> Decoded:
    decoder = Decoder(format_, "feed_source", calendar, [], max_message_bytes=20_000)
    try:
        return decoder.decode(records(payloads), incarnation=3)
    finally:
        decoder.close()


def reason(format_: str, payload: bytes | None) -> str:
    decoded = decode(format_, payload)
    assert decoded.rows.num_rows == 0
    assert decoded.rejects["partial"].to_pylist() == [False]
    return str(decoded.rejects["reason"][0].as_py())


def row(format_: str, payload: bytes, **options: Any) -> dict[str, Any]:
    decoded = decode(format_, payload, **options)
    assert decoded.rejects.to_pylist() == []
    (only,) = decoded.rows.to_pylist()
    return dict(only)


@ANY_FORMAT
def test_a_valid_message_becomes_a_row_with_its_coordinates(format_: str) -> None:
    found = row(format_, VALID[format_])
    assert (found["kafka_partition"], found["kafka_offset"], found["incarnation"]) == (0, 0, 3)
    assert found["kafka_timestamp"] == datetime(2026, 11, 21)


@ANY_FORMAT
def test_rows_and_rejects_have_exactly_the_declared_schemas(format_: str) -> None:
    for payloads in ([], [VALID[format_]], [b"x"], [VALID[format_], b"x"]):
        decoded = decode(format_, *payloads)
        assert decoded.rows.schema.equals(BRONZE_SCHEMAS[format_])
        assert decoded.rejects.schema.equals(QUARANTINE)


@ANY_FORMAT
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"\xff{}", "not_utf8"),
        (b'{"a"', "not_json"),
        (b"[" * 15_000, "not_json"),
        (b"[" * 8_000 + b"]" * 8_000, "wrong_type"),
        (b'{"symbol":"\\ud800"}', "not_json"),
        (b"[]", "wrong_type"),
        (b"null", "wrong_type"),
        (b"12", "wrong_type"),
        (b"{}", "missing_field"),
        (b" " * 20_001, "too_large"),
    ],
)
def test_what_is_no_document_is_rejected_with_its_reason(
    format_: str, payload: bytes | None, expected: str
) -> None:
    assert reason(format_, payload) == expected


def test_a_reject_keeps_its_bytes_key_and_coordinates() -> None:
    decoded = decode("trade", VALID["trade"], b"\xff\x00", VALID["trade"])
    (reject,) = decoded.rejects.to_pylist()
    assert reject["payload"] == b"\xff\x00"
    assert reject["kafka_key"] == b"k"
    assert (reject["kafka_offset"], reject["incarnation"]) == (1, 3)
    assert decoded.rows["kafka_offset"].to_pylist() == [0, 2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"symbol": 3}, "wrong_type"),
        ({"symbol": ABSENT}, "missing_field"),
        ({"symbol": None}, "missing_field"),
        ({"symbol": ""}, "impossible_value"),
        ({"symbol": "A" * 65}, "impossible_value"),
        ({"symbol": "A\nB"}, "impossible_value"),
        ({"symbol": "A\x00"}, "impossible_value"),
        ({"price": "x"}, "wrong_type"),
        ({"price": True}, "wrong_type"),
        ({"price": {}}, "wrong_type"),
        ({"price": ABSENT}, "missing_field"),
        ({"price": 0}, "impossible_value"),
        ({"price": -1}, "impossible_value"),
        ({"price": float("nan")}, "impossible_value"),
        ({"price": float("inf")}, "impossible_value"),
        ({"price": "nan"}, "impossible_value"),
        ({"size": -1}, "impossible_value"),
        ({"size": ABSENT}, "missing_field"),
        ({"time": "yesterday"}, "unparsable_time"),
        ({"time": True}, "wrong_type"),
        ({"time": "1999-12-31T23:59:59Z"}, "impossible_value"),
        ({"time": "2026-11-22T00:00:01Z"}, "impossible_value"),
        ({"time": "infinity"}, "impossible_value"),
        ({"trade_id": {"a": 1}}, "wrong_type"),
        ({"venue": "v" * 201}, "wrong_type"),
        ({"venue": "A\x00B"}, "wrong_type"),
        ({"trade_id": "1\u202e"}, "wrong_type"),
        ({"trade_id": [1]}, "wrong_type"),
        ({"symbol": "A\u202eB"}, "impossible_value"),
        ({"symbol": "\ufeffIBM"}, "impossible_value"),
        ({"symbol": "\u00a0IBM"}, "impossible_value"),
        ({"symbol": "IBM\u2028"}, "impossible_value"),
        ({"price": "1_0"}, "wrong_type"),
        ({"time": "1_763_650_800"}, "unparsable_time"),
        ({"time": "20261120"}, "unparsable_time"),
        ({"time": "2026-11-20T15:00:00+99:99"}, "unparsable_time"),
        ({"time": "2026-11-20T15:00:00+05:60"}, "unparsable_time"),
        ({"time": "2000-01-01T00:00:00Z"}, "impossible_value"),
    ],
)
def test_an_impossible_trade_is_rejected_with_its_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason("trade", as_json(TRADE, **changes)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-11-20T15:00:00Z", datetime(2026, 11, 20, 15)),
        ("2026-11-20 15:00:00", datetime(2026, 11, 20, 15)),
        ("2026-11-20T15:00:00+02:00", datetime(2026, 11, 20, 13)),
        ("2026-11-20T15:00:00.123456-0500", datetime(2026, 11, 20, 20, 0, 0, 123456)),
        (1763650800, datetime(2025, 11, 20, 15)),
        (1763650800.25, datetime(2025, 11, 20, 15, 0, 0, 250000)),
        (1763650800123, datetime(2025, 11, 20, 15, 0, 0, 123000)),
        (1763650800123456, datetime(2025, 11, 20, 15, 0, 0, 123456)),
        (1763650800123456000, datetime(2025, 11, 20, 15, 0, 0, 123456)),
    ],
)
def test_a_time_may_be_iso_or_an_epoch_number_of_any_unit(given: Any, expected: datetime) -> None:
    assert row("trade", as_json(TRADE, time=given))["event_time"] == expected


def test_prices_may_be_numeric_strings_and_trade_ids_numbers() -> None:
    found = row("trade", as_json(TRADE, price="1.25", trade_id=17, venue="X"))
    assert (found["price"], found["trade_id"], found["venue"]) == (1.25, "17", "X")


def test_a_symbol_with_escapes_is_read_as_json_means_it() -> None:
    assert (
        row("trade", b'{"symbol":"\\u00c9A\\"","time":1763650800,"price":1,"size":0}')["symbol"]
        == 'ÉA"'
    )


def test_an_empty_trade_id_is_none_and_makes_no_two_trades_one() -> None:
    decoded = decode("trade", *[as_json(TRADE, trade_id="", venue="") for _ in range(2)])
    assert decoded.rows["trade_id"].to_pylist() == [None, None]
    assert decoded.rows["venue"].to_pylist() == [None, None]


def test_an_id_of_more_digits_than_a_double_keeps_them_all() -> None:
    assert row("trade", as_json(TRADE, trade_id=2**64 + 1))["trade_id"] == str(2**64 + 1)


def test_text_that_begins_with_a_bracket_is_plain_text() -> None:
    found = row("trade", as_json(TRADE, trade_id="{7}", venue="[X]"))
    assert (found["trade_id"], found["venue"]) == ("{7}", "[X]")


def test_a_symbol_may_hold_letters_of_any_script_and_spaces_inside() -> None:
    assert row("trade", as_json(TRADE, symbol="日経 225"))["symbol"] == "日経 225"


@ANY_FORMAT
def test_the_first_of_repeated_members_counts(format_: str) -> None:
    again = VALID[format_][:-1] + b"," + VALID[format_].replace(b"IBM", b"X")[1:]
    if format_ == "alpha_vantage_intraday":
        assert reason(format_, again) == "wrong_type"
    else:
        assert row(format_, again)["symbol"] == row(format_, VALID[format_])["symbol"]


def test_the_earliest_trades_belong_to_a_date_that_silver_has() -> None:
    found = row("trade", as_json(TRADE, time="2000-01-01T12:00:00Z"))
    assert found["trade_date"] == date(2000, 1, 1)


def test_a_trade_after_new_york_midnight_in_utc_belongs_to_the_local_date() -> None:
    payload = as_json(TRADE, time="2026-11-20T00:30:00Z")
    assert row("trade", payload)["trade_date"] == date(2026, 11, 19)
    assert row("trade", payload, calendar="24/7")["trade_date"] == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1min", "1m"), ("5m", "5m"), ("15min", "15m"), ("60min", "1h"), ("1d", "1d")],
)
def test_interval_names_are_normalised(given: str, expected: str) -> None:
    assert row("bar", as_json(BAR, interval=given))["interval"] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interval": "7m"}, "impossible_value"),
        ({"interval": 5}, "wrong_type"),
        ({"high": 0.5}, "impossible_value"),
        ({"open": 9}, "impossible_value"),
        ({"close": 0.1}, "impossible_value"),
        ({"volume": -1}, "impossible_value"),
        ({"volume": ABSENT}, "missing_field"),
        ({"vwap": "x"}, "wrong_type"),
        ({"trade_count": 1.5}, "impossible_value"),
        ({"adjusted_close": 0}, "impossible_value"),
        ({"source": 5}, "wrong_type"),
        ({"start": "1999-01-04T15:00:00Z"}, "impossible_value"),
    ],
)
def test_an_impossible_bar_is_rejected_with_its_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason("bar", as_json(BAR, **changes)) == expected


def test_a_bar_without_source_takes_that_of_its_feed() -> None:
    assert row("bar", as_json(BAR))["source"] == "feed_source"
    assert row("bar", as_json(BAR, source="yahoo"))["source"] == "yahoo"


@pytest.mark.parametrize(
    "start",
    [
        "2026-01-05",
        " 2026-01-05",
        "2026-1-5",
        "2026/01/05",
        "2026-01-05T00:00:00-05:00",
        1767623400,
    ],
)
def test_a_daily_bar_belongs_to_the_date_it_names(start: Any) -> None:
    found = row("bar", as_json(BAR, interval="1d", start=start))
    assert found["trade_date"] == date(2026, 1, 5)


@pytest.mark.parametrize(
    "start", ["20261120", -315619200, "1959-12-31T23:00:00-14:00", "2026-11-20T00:00:00+99:00"]
)
def test_a_daily_bar_of_no_clear_date_or_one_without_partition_is_rejected(start: Any) -> None:
    assert reason("bar", as_json(BAR, interval="1d", start=start))


def test_the_first_day_of_daily_bars_is_taken_wherever_it_begins() -> None:
    for start in ("1960-01-01", "1960-01-01T00:00:00+14:00", "1960-01-01T00:00:00-12:00"):
        found = row("bar", as_json(BAR, interval="1d", start=start))
        assert found["trade_date"] == date(1960, 1, 1)


def test_a_row_of_the_index_file_becomes_a_daily_bar() -> None:
    found = row("index_daily", as_json(INDEX_ROW))
    assert found["trade_date"] == date(1986, 12, 31)
    assert (found["symbol"], found["close"], found["volume"]) == ("HSI", 2568.300049, 0.0)
    assert (found["close_usd"], found["source"]) == (333.87900637, "feed_source")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Date": "31/12/1986"}, "unparsable_time"),
        ({"Date": "1959-12-31"}, "impossible_value"),
        ({"Date": "2026-11-23"}, "impossible_value"),
        ({"High": "1"}, "impossible_value"),
        ({"Close": ABSENT}, "missing_field"),
        ({"Adj Close": "n/a"}, "wrong_type"),
    ],
)
def test_an_impossible_index_row_is_rejected_with_its_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason("index_daily", as_json(INDEX_ROW, **changes)) == expected


def test_a_vendor_document_becomes_one_row_a_bar_in_utc_across_daylight_saving() -> None:
    series = {"2026-01-05 19:55:00": VENDOR_BAR, "2026-07-06 04:00:00": VENDOR_BAR}
    decoded = decode("alpha_vantage_intraday", document(series))
    assert decoded.rows["bar_start"].to_pylist() == [
        datetime(2026, 1, 6, 0, 55),
        datetime(2026, 7, 6, 8, 0),
    ]
    assert decoded.rows["trade_date"].to_pylist() == [date(2026, 1, 5), date(2026, 7, 6)]
    assert decoded.rows["interval"].to_pylist() == ["5m", "5m"]


def test_bad_bars_of_a_good_document_are_partial_rejects() -> None:
    series = {
        "2026-01-05 19:55:00": VENDOR_BAR,
        "2026-01-05 19:50:00": {**VENDOR_BAR, "2. high": "0.1"},
        "soon": VENDOR_BAR,
        "2026-01-05 19:45:00": None,
    }
    decoded = decode("alpha_vantage_intraday", document(series))
    assert decoded.rows.num_rows == 1
    assert decoded.rejects["partial"].to_pylist() == [True] * 3
    assert decoded.rejects["reason"].to_pylist() == [
        "impossible_value",
        "unparsable_time",
        "missing_field",
    ]
    assert decoded.rejects["payload"][2].as_py() == b'{"2026-01-05 19:45:00":null}'


@pytest.mark.parametrize(
    "stamp",
    ["2026-01-05 19:55:00Z", "2026-01-05 19:55:00 ", "2026-01-05 24:00:00", "2026-03-08 02:30:00"],
)
def test_a_bar_at_a_time_that_is_also_anothers_is_rejected(stamp: str) -> None:
    good = ["2026-01-05 19:55:00", "2026-01-06 00:00:00", "2026-03-08 03:30:00"]
    decoded = decode("alpha_vantage_intraday", document(dict.fromkeys([*good, stamp], VENDOR_BAR)))
    assert (decoded.rows.num_rows, decoded.rejects["partial"].to_pylist()) == (3, [True])
    assert stamp.encode() in decoded.rejects["payload"][0].as_py()


def test_no_time_series_of_a_document_is_passed_over() -> None:
    series = {"2026-01-05 19:55:00": VENDOR_BAR}
    both = document(series)[:-1] + b"," + document(series, key="Time Series (1min)")[1:]
    assert reason("alpha_vantage_intraday", both) == "wrong_type"


def test_the_work_for_a_document_grows_with_its_bars_and_not_with_their_square() -> None:
    decoder = Decoder("alpha_vantage_intraday", "s", "XNYS", [], 10_000_000)

    def cpu_seconds(bars: int) -> float:
        table = records([document({f"x{n}": 1 for n in range(bars)})])
        started = process_time()
        assert decoder.decode(table, 1).rejects["reason"].to_pylist() == ["wrong_type"]
        return process_time() - started

    cpu_seconds(10)
    assert cpu_seconds(80_000) < 8 * cpu_seconds(20_000)


def test_thousands_of_bad_bars_do_not_multiply_their_document() -> None:
    bad = {**VENDOR_BAR, "1. open": "x"}
    series = {f"2026-01-05 {n // 60:02d}:{n % 60:02d}:00": bad for n in range(960)}
    payload = document({**series, "2026-01-06 04:00:00": VENDOR_BAR})
    decoder = Decoder("alpha_vantage_intraday", "s", "XNYS", [], max_message_bytes=1_000_000)
    decoded = decoder.decode(records([payload] * 20), 1)
    assert (decoded.rows.num_rows, decoded.rejects.num_rows) == (20, 20 * 960)
    assert decoded.rejects["payload"].nbytes < 2 * 20 * len(payload)


def test_a_document_without_any_good_bar_is_one_reject() -> None:
    bad = {**VENDOR_BAR, "1. open": "x"}
    assert reason("alpha_vantage_intraday", document({"2026-01-05 19:55:00": bad, "x": bad}))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (document({}), "missing_field"),
        (document([]), "wrong_type"),
        (document({"2026-01-05 19:55:00": VENDOR_BAR}, zone="Mars"), "impossible_value"),
        (
            document({"2026-01-05 19:55:00": VENDOR_BAR}, key="Time Series (2min)"),
            "impossible_value",
        ),
        (b'{"Meta Data":5,"Time Series (5min)":{"a":1}}', "missing_field"),
        (b'{"Time Series (a\\"b)":{}}', "missing_field"),
        (b'{"Note":"Thank you for using Alpha Vantage!"}', "missing_field"),
        (b'{"Error Message":"Invalid API call."}', "missing_field"),
    ],
)
def test_a_vendor_document_without_bars_is_rejected(payload: bytes, expected: str) -> None:
    assert reason("alpha_vantage_intraday", payload) == expected


def test_a_vendor_answer_never_shows_an_echoed_key() -> None:
    body = b'{"Information":"We have detected your API key as AB12CD34EF56GH78 and our limit"}'
    (reject,) = decode("alpha_vantage_intraday", body).rejects.to_pylist()
    assert "AB12CD34EF56GH78" not in reject["detail"]
    assert "We have detected your API key" in reject["detail"]


@pytest.mark.parametrize("none", [datetime(1969, 12, 31, 23, 59, 59), datetime(1970, 1, 1)])
def test_a_record_without_kafka_timestamp_is_still_read(none: datetime) -> None:
    decoder = Decoder("trade", "s", "24/7", [], 1000)
    decoded = decoder.decode(records([VALID["trade"]], none), 1)
    assert decoded.rows.num_rows == 1


def test_many_chunks_of_many_batches_keep_their_order() -> None:
    payloads = [as_json(TRADE, trade_id=str(n)) for n in range(10_000)]
    payloads[5_000] = b"bad"
    table = records(payloads)
    chunked = pa.concat_tables([table.slice(n, 700) for n in range(0, 10_000, 700)])
    decoded = Decoder("trade", "s", "24/7", [], 1000).decode(chunked, 1)
    assert decoded.rows["kafka_offset"].to_pylist() == [n for n in range(10_000) if n != 5_000]
    assert decoded.rows["trade_id"].to_pylist() == [str(n) for n in range(10_000) if n != 5_000]
