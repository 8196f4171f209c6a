"""Documents of Alpha Vantage, which hold many bars."""

from __future__ import annotations

import json
from datetime import date, datetime
from time import process_time

import pytest

from stock_pipeline.ingest.decode import Decoder
from stock_pipeline_tests.support.decoding import decode, reason, row
from stock_pipeline_tests.support.records import (
    VENDOR_BAR,
    document,
    records,
)


def test_a_vendor_document_becomes_one_row_a_bar_in_utc_across_daylight_saving() -> None:
    series = {"2026-01-05 19:55:00": VENDOR_BAR, "2026-07-06 04:00:00": VENDOR_BAR}
    decoded = decode("alpha_vantage_intraday", document(series))
    assert decoded.rows["bar_start"].to_pylist() == [
        datetime(2026, 1, 6, 0, 55),
        datetime(2026, 7, 6, 8, 0),
    ]
    assert decoded.rows["trade_date"].to_pylist() == [date(2026, 1, 5), date(2026, 7, 6)]
    assert decoded.rows["interval"].to_pylist() == ["5m", "5m"]


def test_a_daily_document_with_adjusted_closes_has_its_zone_and_volume_under_other_names() -> None:
    meta = {"2. Symbol": "IBM", "4. Output Size": "Compact", "5. Time Zone": "US/Eastern"}
    day = {"1. open": "200.10", "2. high": "203.00", "3. low": "199.50", "4. close": "202.00"}
    day |= {"5. adjusted close": "101.00", "6. volume": "3500000"}
    day |= {"7. dividend amount": "0.0000", "8. split coefficient": "2.0"}
    payload = json.dumps({"Meta Data": meta, "Time Series (Daily)": {"2026-01-05": day}}).encode()
    expected = {
        "symbol": "IBM",
        "interval": "1d",
        "trade_date": date(2026, 1, 5),
        "open": 200.1,
        "high": 203.0,
        "low": 199.5,
        "close": 202.0,
        "adjusted_close": 101.0,
        "volume": 3_500_000.0,
    }
    found = row("alpha_vantage_intraday", payload)
    assert {name: found[name] for name in expected} == expected


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
