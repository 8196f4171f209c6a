"""Returns across splits and dividends, by hand."""

import math
from datetime import date, datetime

import pyarrow as pa
import pytest

from stock_pipeline.lib.formats.arrow import CORPORATE_ACTIONS
from stock_pipeline.lib.schemas import CORPORATE_ACTIONS_TABLE, SILVER_CORPORATE_ACTIONS
from stock_pipeline.tables.silver_tables import latest_rows
from stock_pipeline.tables.volatility import volatility_daily
from stock_pipeline_tests.support.bar_tables import daily, series

NOON = datetime(2024, 6, 1, 12)


def told(*rows, schema=SILVER_CORPORATE_ACTIONS):
    """Actions of symbol A, the later ones told later."""
    same = {"symbol": "A", "source": "yahoo", "incarnation": 1, "kafka_timestamp": NOON}
    same |= {"kafka_partition": 0, "kind": "split"}
    full = [{**same, "kafka_offset": n, **row} for n, row in enumerate(rows)]
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in full], schema=schema
    )


def closes(*prices, **same):
    return [
        {"trade_date": date(2024, 3, 4 + n), "close": price, **same}
        for n, price in enumerate(prices)
    ]


def returns(rows, *actions, year=2024, state=None, precedence=()):
    made, _ = volatility_daily(
        daily(*rows), year, (2,), 0.94, precedence, state or {}, told(*actions)
    )
    return [math.exp(row["log_return"]) for row in made.to_pylist()]


def split(day, ratio, **more):
    return {"ex_date": date(2024, 3, day), "ratio": ratio, **more}


def dividend(day, amount, **more):
    return {"ex_date": date(2024, 3, day), "kind": "dividend", "amount": amount, **more}


def test_a_split_of_two_for_one_makes_no_return_of_minus_a_half():
    rows = closes(100.0, 102.0, 51.0, 52.0)
    assert returns(rows) == pytest.approx([1.02, 0.5, 52 / 51])
    assert returns(rows, split(6, 2.0)) == pytest.approx([1.02, 1.0, 52 / 51])


def test_a_reverse_split_makes_no_return_of_many_hundred_percent():
    assert returns(closes(1.0, 10.5, 11.0), split(5, 0.1)) == pytest.approx([1.05, 11 / 10.5])


def test_a_dividend_is_added_to_the_return_of_its_ex_date():
    rows = closes(100.0, 98.0, 99.0)
    assert returns(rows, dividend(5, 2.0)) == pytest.approx([98 / (100 * 0.98), 99 / 98])


def test_a_split_and_a_dividend_of_one_day_both_count():
    # 102 becomes two shares of 51, of which each pays 1.
    found = returns(closes(102.0, 50.0, 50.0), split(5, 2.0), dividend(5, 1.0))
    assert found == pytest.approx([1.0, 1.0])


def test_an_action_between_two_bars_belongs_to_the_later_one():
    rows = [
        {"trade_date": date(2024, 3, 8), "close": 90.0},
        {"trade_date": date(2024, 3, 11), "close": 30.0},
    ]
    assert returns(rows, split(9, 3.0)) == pytest.approx([1.0])


def test_adjusted_closes_are_not_adjusted_again():
    # As a vendor gives them after the split of the third day and the dividend of the fourth.
    rows = closes(100.0, 102.0, 51.0, 50.0)
    for row, adjusted in zip(rows, (49.0, 49.98, 49.98, 50.0), strict=True):
        row["adjusted_close"] = adjusted
    found = returns(rows, split(6, 2.0), dividend(7, 1.02))
    assert found == pytest.approx([1.02, 1.0, 50 / 49.98])


def test_a_split_shows_in_adjusted_closes_that_were_sent_before_it():
    rows = closes(100.0, 102.0, 51.0)
    for row in rows:
        row["adjusted_close"] = row["close"]
    assert returns(rows, split(6, 2.0)) == pytest.approx([1.02, 1.0])


def test_prices_that_a_source_adjusted_without_saying_so_are_left_alone():
    assert returns(closes(50.0, 51.0, 51.5), split(5, 2.0)) == pytest.approx([1.02, 51.5 / 51])


def test_of_two_sources_that_tell_of_a_split_one_counts():
    told_twice = [split(5, 2.0), split(5, 2.0, source="alpha_vantage")]
    assert returns(closes(100.0, 50.0), *told_twice) == pytest.approx([1.0])


def test_another_symbols_split_changes_nothing():
    assert returns(closes(100.0, 50.0), split(5, 2.0, symbol="B")) == pytest.approx([0.5])


def test_a_dividend_above_the_price_is_not_believed():
    assert returns(closes(100.0, 99.0), dividend(5, 100.0)) == pytest.approx([0.99])


def test_a_split_on_the_first_bar_of_the_year_and_after_a_long_pause():
    december = {"trade_date": date(2023, 12, 29), "close": 100.0}
    january = {"trade_date": date(2024, 1, 2), "close": 50.0}
    action = {"ex_date": date(2024, 1, 1), "ratio": 2.0}
    assert returns([december, january], action) == pytest.approx([1.0])
    # The bar before lies in a year that is not read: its close is in the state.
    assert returns([january], action, state={"A": (None, 100.0)}) == pytest.approx([1.0])


def test_every_estimator_sees_what_it_would_without_the_split():
    whole = series(40)
    shares = [dict(row) for row in whole]
    for row in shares[20:]:
        for price in ("open", "high", "low", "close"):
            row[price] /= 4
    ex_date = {"ex_date": whole[20]["trade_date"], "ratio": 4.0}
    plain, _ = volatility_daily(daily(*whole), 2024, (5, 20), 0.94, (), {})
    made, _ = volatility_daily(daily(*shares), 2024, (5, 20), 0.94, (), {}, told(ex_date))
    wild, _ = volatility_daily(daily(*shares), 2024, (5, 20), 0.94, (), {})
    for name in plain.column_names[4:-1]:
        found, wanted = (t[name].to_numpy().astype(float) for t in (made, plain))
        assert found == pytest.approx(wanted, rel=1e-9, nan_ok=True), name
    assert max(wild["close_to_close"].drop_null().to_pylist()) > 5
    assert max(made["close_to_close"].drop_null().to_pylist()) < 1


def test_actions_that_touch_no_bar_leave_every_digit():
    rows = daily(*series(40))
    plain, state = volatility_daily(rows, 2024, (5, 20), 0.94, (), {})
    elsewhere = told({"ex_date": date(2024, 1, 9), "ratio": 2.0, "symbol": "B"})
    made, after = volatility_daily(rows, 2024, (5, 20), 0.94, (), {}, elsewhere)
    assert made.equals(plain)
    assert after == state


def test_of_an_action_sent_again_the_later_one_holds():
    day = date(2024, 3, 5)
    rows = [{"trade_date": day, "ratio": 3.0}, {"trade_date": day, "ratio": 2.0}]
    rows.append({"trade_date": day, "kind": "dividend", "amount": 1.5, "currency": "USD"})
    made = latest_rows(CORPORATE_ACTIONS_TABLE, told(*rows, schema=CORPORATE_ACTIONS)).to_pylist()
    assert [(r["kind"], r["ratio"], r["amount"]) for r in made] == [
        ("dividend", None, 1.5),
        ("split", 2.0, None),
    ]
    assert made[1]["kafka_offset"] == 1
