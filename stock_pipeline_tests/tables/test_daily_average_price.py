from datetime import date

import pytest

from stock_pipeline.lib.schemas import DAILY_AVERAGE_PRICE_TABLE, GOLD_DAILY_AVERAGE_PRICE
from stock_pipeline.tables.bars import roll_up
from stock_pipeline.tables.checks import violations
from stock_pipeline_tests.support.bar_tables import DAY, at, daily, intraday
from stock_pipeline_tests.support.gold_tables import daily_average_price

VENDOR = {"source": "v", "close": 10.0}
BARS = {"source": "b", "close": 11.0, "mean_close": 11.5, "bar_count": 78}
TRADES = {
    "source": "t",
    "close": 12.0,
    "mean_close": 12.5,
    "bar_count": 390,
    "mean_price": 12.75,
    "trade_count": 4000,
}


def make(*rows, precedence=()):
    made = daily_average_price(daily(*rows), 2024, precedence)
    assert made.schema == GOLD_DAILY_AVERAGE_PRICE
    assert violations(DAILY_AVERAGE_PRICE_TABLE, made) == []
    return [(row["avg_price"], row["basis"], row["observations"]) for row in made.to_pylist()]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([VENDOR], (10.0, "daily_close", 1)),
        ([VENDOR, BARS], (11.5, "intraday_closes", 78)),
        ([VENDOR, BARS, TRADES], (12.75, "trades", 4000)),
    ],
)
def test_trades_speak_before_intraday_closes_and_these_before_the_daily_close(rows, expected):
    for precedence in ((), ("v", "b", "t")):
        assert make(*rows, precedence=precedence) == [expected]


def test_of_sources_with_the_same_basis_the_first_of_the_precedence_speaks():
    rows = [VENDOR, {"source": "a", "close": 9.0}]
    assert make(*rows) == [(9.0, "daily_close", 1)]
    assert make(*rows, precedence=("v",)) == [(10.0, "daily_close", 1)]


def test_the_mean_of_a_days_trades_is_not_weighted_by_size():
    minutes = [
        {"close": 10.0, "mean_price": 10.0, "trade_count": 1, "volume": 900.0},
        {"close": 20.0, "mean_price": 20.0, "trade_count": 3, "bar_start": at(1)},
    ]
    [row] = roll_up(intraday(*minutes), DAY).to_pylist()
    assert make(row) == [((10 + 3 * 20) / 4, "trades", 4)]


def test_only_the_years_own_days_are_made_each_by_itself():
    rows = [{**VENDOR, "trade_date": day} for day in (date(2023, 12, 31), DAY, date(2024, 12, 31))]
    assert make(*rows, {**BARS, "trade_date": DAY}, {**VENDOR, "symbol": "B"}) == [
        (11.5, "intraday_closes", 78),
        (10.0, "daily_close", 1),
        (10.0, "daily_close", 1),
    ]
    assert make() == []
