"""Which partitions of silver and gold Dagster lists."""

from __future__ import annotations

from datetime import date

import pytest

from stock_pipeline.defs.tables.partitions import listed_partitions
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, BARS_INTRADAY_TABLE
from stock_pipeline.settings import Settings, load_settings


def settings_of(partitions: dict[str, object], *calendars: str) -> Settings:
    feeds = {
        f"feed{n}": {"topic": f"topic{n}", "format": "trade", "source": f"s{n}", "calendar": name}
        for n, name in enumerate(calendars)
    }
    data = {"feeds": feeds, "simulator": {"enabled": False}, "partitions": partitions}
    return Settings.model_validate(data)


def days_of(*calendars: str) -> list[str]:
    listed = listed_partitions(settings_of({"intraday_since": "2024-06-28"}, *calendars))
    return list(listed.days.get_partition_keys())


def test_the_list_begins_where_the_settings_say():
    listed = listed_partitions(
        settings_of({"intraday_since": "2024-06-28", "daily_since": 2020}, "XNYS")
    )
    assert listed.days.get_first_partition_key() == listed.first(BARS_INTRADAY_TABLE)
    assert listed.first(BARS_INTRADAY_TABLE) == "2024-06-28"
    assert listed.years.get_first_partition_key() == listed.first(BARS_DAILY_TABLE) == "2020"


def test_the_list_of_one_exchange_leaves_out_weekends_and_holidays():
    assert days_of("XNYS")[:6] == [
        "2024-06-28",
        "2024-07-01",
        "2024-07-02",
        "2024-07-03",
        "2024-07-05",
        "2024-07-08",
    ]


def test_days_that_are_left_out_are_known():
    listed = listed_partitions(settings_of({"intraday_since": "2024-06-28"}, "XNYS"))
    assert {"2024-06-29", "2024-07-04", "2024-12-25"} <= listed.closed
    assert not listed.closed & set(listed.days.get_partition_keys())


@pytest.mark.parametrize("calendars", [("24/7",), ("XNYS", "XTKS"), ("XNYS", "24/7")])
def test_where_a_day_may_have_a_session_somewhere_every_day_is_listed(calendars):
    assert days_of(*calendars)[:3] == ["2024-06-28", "2024-06-29", "2024-06-30"]


@pytest.mark.parametrize(
    ("calendars", "most"), [(("24/7",), 1), (("XNYS",), 5), (("XNYS", "24/7"), 4)]
)
def test_no_day_of_the_far_future_is_listed(calendars, most):
    last = date.fromisoformat(days_of(*calendars)[-1])
    assert 0 <= (last - date.today()).days <= most


def test_the_list_of_a_first_run_is_short():
    """With the settings that the project ships."""
    settings = load_settings(environment={})
    assert settings.partitions.intraday_since >= date(2026, 10, 1)
    assert settings.partitions.daily_since == 1965
