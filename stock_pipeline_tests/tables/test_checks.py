import math

import pyarrow as pa
import pytest

from stock_pipeline.lib import schemas
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    TABLES,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.tables.checks import MOST_ROWS, violations
from stock_pipeline_tests.support.bar_tables import CLOSE, DAY, OPEN, at, daily, intraday

BAR = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0}


def found(spec, *rows):
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=spec.schema)
    return {violation.check for violation in violations(spec, table)}


def intraday_rows(*changes):
    return intraday(*({**BAR, **change} for change in changes)).to_pylist()


def volatility(**change):
    row = dict.fromkeys(schemas.GOLD_VOLATILITY_DAILY.names, 0.2)
    return {
        **row,
        "symbol": "A",
        "trade_date": DAY,
        "source": "s",
        "window_days": 5,
        "observations": 5,
        **change,
    }


def realized(**change):
    row = dict.fromkeys(schemas.GOLD_VOLATILITY_INTRADAY.names, 0.5)
    return {
        **row,
        "symbol": "A",
        "window_label": "5m",
        "window_start": OPEN,
        "complete": True,
        "trade_count": 3,
        "bar_count": 2,
        **change,
    }


@pytest.mark.parametrize("spec", list(TABLES.values()), ids=lambda spec: spec.name)
def test_a_partition_without_rows_may_be_published(spec):
    assert violations(spec, spec.schema.empty_table()) == []


def test_good_rows_break_no_rule():
    assert found(BARS_INTRADAY_TABLE, *intraday_rows({}, {"bar_start": at(1)})) == set()
    assert found(BARS_DAILY_TABLE, *daily(BAR).to_pylist()) == set()
    assert found(VOLATILITY_DAILY_TABLE, volatility(), volatility(window_days=20)) == set()
    assert found(VOLATILITY_INTRADAY_TABLE, realized()) == set()
    empty = dict.fromkeys(
        ("close_to_close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang")
    )
    assert found(VOLATILITY_DAILY_TABLE, volatility(**empty)) == set()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"low": 0.0}, "prices_positive"),
        ({"low": -1.0}, "prices_positive"),
        ({"vwap": -1.0}, "prices_positive"),
        ({"adjusted_close": 0.0}, "prices_positive"),
        ({"low": 12.5}, "bars_ordered"),
        ({"open": 12.5}, "bars_ordered"),
        ({"open": 8.5}, "bars_ordered"),
        ({"close": 12.5}, "bars_ordered"),
        ({"close": 8.5}, "bars_ordered"),
        ({"session_open": CLOSE, "session_close": OPEN}, "bars_ordered"),
        ({"volume": -1.0}, "amounts_not_negative"),
        ({"trade_count": -1}, "amounts_not_negative"),
        ({"high": math.inf}, "finite"),
        ({"close": math.nan}, "finite"),
        ({"volume": math.nan}, "finite"),
    ],
)
def test_an_impossible_bar_is_found(change, check):
    assert check in found(BARS_INTRADAY_TABLE, *intraday_rows(change))


@pytest.mark.parametrize("bad", [-0.1, 100.0, math.inf, math.nan])
@pytest.mark.parametrize(
    "name",
    [
        "close_to_close",
        "parkinson",
        "garman_klass",
        "rogers_satchell",
        "yang_zhang",
        "ewma",
    ],
)
def test_a_volatility_outside_its_bounds_is_found(name, bad):
    checks = found(VOLATILITY_DAILY_TABLE, volatility(**{name: bad}))
    assert checks & {"volatilities_bounded", "finite"}


def test_impossible_realised_values_are_found():
    for change, check in (
        ({"jump_share": 1.1}, "shares_bounded"),
        ({"jump_share": -0.1}, "shares_bounded"),
        ({"realized_variance": -1e-9}, "amounts_not_negative"),
        ({"realized_volatility": 100.0}, "volatilities_bounded"),
        ({"last_return_zscore": math.inf}, "finite"),
        ({"low": 0.6}, "bars_ordered"),
    ):
        assert check in found(VOLATILITY_INTRADAY_TABLE, realized(**change)), change


def test_an_average_price_of_zero_is_found():
    row = {"symbol": "A", "trade_date": DAY, "avg_price": 0.0, "basis": "trades", "observations": 1}
    assert found(DAILY_AVERAGE_PRICE_TABLE, row) == {"prices_positive"}


def test_a_key_that_occurs_twice_is_found_with_its_values():
    [violation] = violations(BARS_INTRADAY_TABLE, intraday(BAR, BAR, {**BAR, "symbol": "B"}))
    assert violation.check == "keys_unique"
    assert violation.sentence == (
        "1 keys (symbol, bar_start, interval, source) have more than one row."
    )
    assert violation.rows.to_pylist()[0]["symbol"] == "A"


def test_rows_out_of_order_are_found():
    checks = found(BARS_INTRADAY_TABLE, *intraday_rows({"bar_start": at(1)}, {}))
    assert checks == {"sorted"}
    checks = found(BARS_INTRADAY_TABLE, *intraday_rows({"symbol": "B"}, {"bar_start": at(1)}))
    assert checks == {"sorted"}


def test_a_missing_value_is_found():
    names = BARS_DAILY_TABLE.schema.names
    loose = pa.schema([field.with_nullable(True) for field in BARS_DAILY_TABLE.schema])
    row = {**daily(BAR).to_pylist()[0], "close": None}
    table = pa.Table.from_pylist([{name: row[name] for name in names}], schema=loose)
    [violation] = violations(BARS_DAILY_TABLE, table)
    assert (violation.check, violation.rows.num_rows) == ("not_null", 1)


def test_a_table_of_other_columns_is_refused():
    table = daily(BAR).drop_columns(["close_usd"])
    [violation] = violations(BARS_DAILY_TABLE, table)
    assert violation.check == "schema"


def test_a_footer_does_not_matter():
    table = daily(BAR).replace_schema_metadata({b"stock_pipeline": b"{}"})
    assert violations(BARS_DAILY_TABLE, table) == []


def test_a_violation_counts_all_rows_and_shows_a_few():
    rows = [{**BAR, "volume": -1.0, "bar_start": at(minute)} for minute in range(50)]
    [violation] = violations(BARS_INTRADAY_TABLE, intraday(*rows))
    assert violation.sentence == "volume must be zero or more; 50 of 50 rows break this."
    assert violation.rows.num_rows == MOST_ROWS
