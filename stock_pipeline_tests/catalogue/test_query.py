import csv
import datetime
import io
import json

import pytest
from typer.testing import CliRunner

from stock_pipeline.catalogue.query import QueryError, connect, query
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline_tests.support.small_lake import (
    DAY,
    daily_bars,
    put,
    put_batch,
    put_silver_and_gold,
)

FEEDS = {
    "live-feed": {"format": "trade", "source": "trades", "calendar": "24/7"},
    "empty": {"format": "bar", "source": "bars"},
}


@pytest.fixture
def settings(ministack_endpoint, settings_for):
    return settings_for(FEEDS)


@pytest.fixture
def full(settings):
    lake = Lake(settings.aws)
    put_batch(lake, "live-feed", 0, DAY)
    put_batch(lake, "live-feed", 1, DAY + datetime.timedelta(days=1))
    put_silver_and_gold(settings, lake)
    return lake


@pytest.fixture
def ask(settings, full):
    return lambda sql: query(settings, full, sql).to_pylist()


def test_every_layer_can_be_asked(ask):
    assert ask('SELECT symbol, arrival_date FROM bronze."live-feed" ORDER BY 2') == [
        {"symbol": "AAA", "arrival_date": DAY},
        {"symbol": "AAA", "arrival_date": DAY + datetime.timedelta(days=1)},
    ]
    assert ask('SELECT count(*) AS n FROM quarantine."live-feed"') == [{"n": 2}]
    assert ask("SELECT year, count(*) AS n FROM silver.bars_daily GROUP BY 1 ORDER BY 1") == [
        {"year": 2025, "n": 80},
        {"year": 2026, "n": 80},
    ]
    assert ask("SELECT DISTINCT trade_date FROM gold.volatility_intraday") == [{"trade_date": DAY}]


def test_layers_can_be_joined(ask):
    (row,) = ask(
        "SELECT count(*) AS n FROM gold.daily_average_price AS g "
        "JOIN silver.bars_daily AS s USING (symbol, trade_date)"
    )
    assert row == {"n": 160}


def test_a_table_without_objects_is_empty_and_typed(ask):
    assert ask('SELECT * FROM bronze."empty"') == []
    assert ask('SELECT typeof(max(bar_start)) AS t FROM bronze."empty"') == [{"t": "TIMESTAMP"}]


def test_a_partition_filter_opens_only_its_objects(settings, full):
    full.put("silver/bars_daily/year=1999/bars.parquet", b"not Parquet at all")

    table = query(settings, full, "SELECT count(*) AS n FROM silver.bars_daily WHERE year = 2026")

    assert table["n"].to_pylist() == [80]


def test_wrong_sql_is_one_sentence(ask):
    with pytest.raises(QueryError, match=r"^Parser Error: [^\n]*\.$"):
        ask("SELEC 1")
    with pytest.raises(QueryError, match=r'nothing.*not exist. Tables: bronze.*gold."vol'):
        ask("SELECT * FROM nothing")
    with pytest.raises(QueryError, match="ask with SELECT"):
        ask("-- nothing")
    with pytest.raises(QueryError, match="no_such"):
        ask("SELECT no_such FROM gold.volatility_daily")


def test_files_of_this_machine_cannot_be_read(ask):
    with pytest.raises(QueryError):
        ask("SELECT * FROM read_csv('/etc/passwd')")


def test_a_damaged_object_is_an_error_and_not_fewer_rows(settings, full):
    full.put("silver/bars_daily/year=1999/bars.parquet", b"not Parquet at all")

    with pytest.raises(QueryError):
        query(settings, full, "SELECT sum(close) FROM silver.bars_daily")


def test_an_object_that_is_replaced_meanwhile_is_read_again(settings, full, monkeypatch):
    listings = []
    original = full.list

    def replaced(prefix, after=""):
        entries = list(original(prefix, after))
        if not listings:
            put(full, BARS_DAILY_TABLE, "2026", daily_bars(2026, days=50), MadeFrom())
        listings.append(prefix)
        return iter(entries)

    monkeypatch.setattr(full, "list", replaced)

    table = query(settings, full, "SELECT count(*) AS n FROM silver.bars_daily WHERE year = 2026")

    assert table["n"].to_pylist() == [100]
    assert len(listings) == 4


def test_a_connection_has_all_views(settings, full):
    with connect(settings, full) as connection:
        tables = connection.execute(
            "SELECT table_schema, count(*) FROM information_schema.tables "
            "WHERE table_schema IN ('bronze', 'quarantine', 'silver', 'gold') "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert tables == [("bronze", 2), ("gold", 4), ("quarantine", 2), ("silver", 4)]


@pytest.fixture
def command(full):
    from stock_pipeline.cli import app

    return lambda *arguments: CliRunner().invoke(app, ["query", *arguments])


def test_json_is_a_list_of_records_with_iso_dates(command):
    sql = 'SELECT symbol, arrival_date, event_time, NULL AS x FROM bronze."live-feed" ORDER BY 2'
    result = command(sql, "--format", "json")
    assert json.loads(result.stdout)[0] == {
        "symbol": "AAA",
        "arrival_date": "2026-11-20",
        "event_time": "2026-11-20T10:00:00",
        "x": None,
    }


def test_csv_has_a_header_and_all_rows(command):
    result = command("SELECT * FROM silver.bars_daily", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 160
    assert rows[0]["year"] in {"2025", "2026"}


def test_a_table_shows_some_rows_and_says_of_how_many(command):
    result = command("SELECT symbol FROM silver.bars_daily")
    assert "50 of 160 rows" in result.stdout


def test_a_wrong_query_ends_with_one_and_one_line(command):
    result = command("SELECT * FROM gold.nothing")
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
