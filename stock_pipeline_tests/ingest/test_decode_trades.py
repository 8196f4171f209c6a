"""Trades: which are taken, and why others are rejected."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from stock_pipeline_tests.support.decoding import decode, reason, row
from stock_pipeline_tests.support.records import (
    ABSENT,
    TRADE,
    as_json,
)


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


def test_the_earliest_trades_belong_to_a_date_that_silver_has() -> None:
    found = row("trade", as_json(TRADE, time="2000-01-01T12:00:00Z"))
    assert found["trade_date"] == date(2000, 1, 1)


def test_a_trade_after_new_york_midnight_in_utc_belongs_to_the_local_date() -> None:
    payload = as_json(TRADE, time="2026-11-20T00:30:00Z")
    assert row("trade", payload)["trade_date"] == date(2026, 11, 19)
    assert row("trade", payload, calendar="24/7")["trade_date"] == date(2026, 11, 20)
