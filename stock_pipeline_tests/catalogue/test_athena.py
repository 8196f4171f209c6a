import threading
import time

import pytest

from stock_pipeline.catalogue.athena import AthenaError, AthenaRunner, AthenaTimeoutError
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.parity import GoldParity
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, VOLATILITY_DAILY_TABLE, tables_of
from stock_pipeline.stack.provision import ensure_workgroup
from stock_pipeline.tables.due import key_of
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import parquet
from stock_pipeline_tests.support.small_lake import daily_bars, put, put_silver_and_gold

# The emulator cannot stop what it runs: long enough to be interrupted, no longer.
SLOW = "SELECT count(*) AS n FROM range(2000000000) AS a(i) WHERE i % 7 = 3"


@pytest.fixture
def settings(ministack_endpoint, settings_for):
    made = settings_for(catalog={"method": "partitions"})
    ensure_workgroup(made)
    return made


@pytest.fixture
def runner(settings):
    return AthenaRunner(settings)


@pytest.fixture
def gold_lake(settings):
    lake = Lake(settings.aws)
    put_silver_and_gold(settings, lake)
    Catalogue(settings, lake).sync()
    return lake


def state_of(runner, query_id):
    answer = runner.client.get_query_execution(QueryExecutionId=query_id)
    return answer["QueryExecution"]["Status"]["State"]


def test_a_query_gives_typed_rows_and_its_cost(runner):
    result = runner.run(
        "SELECT 1.5e0 AS x, CAST(NULL AS DOUBLE) AS nothing, DATE '2026-11-20' AS d"
    )

    assert result.table.to_pylist()[0]["x"] == 1.5
    assert result.table.to_pylist()[0]["nothing"] is None
    assert str(result.table["d"].type) == "date32[day]"
    assert result.usd > 0
    assert state_of(runner, result.query_id) == "SUCCEEDED"


def test_a_result_of_many_pages_is_whole(runner):
    table = runner.run("SELECT i AS n FROM range(2500) AS a(i)").table

    assert sorted(table["n"].to_pylist()) == list(range(2500))


def test_a_failing_query_is_an_error_with_its_id_and_reason(runner):
    with pytest.raises(AthenaError, match="ended as FAILED") as caught:
        runner.run("SELECT no_such_column FROM (SELECT 1 AS x)")

    assert caught.value.query_id
    assert "no_such_column" in caught.value.reason


def test_a_query_without_its_workgroup_is_refused(settings):
    nowhere = settings.model_copy(
        update={"athena": settings.athena.model_copy(update={"workgroup": "nowhere"})}
    )
    with pytest.raises(AthenaError, match="refused a query in workgroup nowhere"):
        AthenaRunner(nowhere).run("SELECT 1")


def test_a_query_that_takes_too_long_is_stopped(runner):
    with pytest.raises(AthenaTimeoutError, match=r"athena\.timeout_seconds") as caught:
        runner.run(SLOW, timeout_seconds=0.5)

    assert state_of(runner, caught.value.query_id) == "CANCELLED"


def test_an_interrupted_wait_stops_the_query(runner, monkeypatch):
    begun = threading.Event()
    ids = []
    start = runner._start

    def remember(sql):
        ids.append(start(sql))
        begun.set()
        return ids[-1]

    monkeypatch.setattr(runner, "_start", remember)
    monkeypatch.setattr(time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        runner.run(SLOW)

    assert begun.is_set()
    assert state_of(runner, ids[0]) == "CANCELLED"


@pytest.mark.parametrize("table", tables_of("gold"), ids=lambda table: table.name)
def test_athena_and_duckdb_make_the_same_gold(settings, runner, gold_lake, table):
    gold = GoldParity(settings, gold_lake, table, runner)

    for partition in gold.newest():
        assert gold.check(partition) == []
        parity = gold.compare(partition)
        assert parity.athena.equal, parity.athena.examples
        assert parity.published.equal, parity.published.examples
        assert parity.athena.rows > 0
        assert parity.notes == ()


def test_a_planted_difference_is_found(settings, runner, gold_lake):
    key = key_of(VOLATILITY_DAILY_TABLE, "2026")
    rows, _ = gold_lake.read_table(key)
    made = MadeFrom.model_validate_json(gold_lake.read_footer(key))
    rows = rows.replace_schema_metadata(None)
    values = rows["ewma"].to_pylist()
    values[3] *= 1 + 1e-6
    column = rows.schema.get_field_index("ewma")
    rows = rows.set_column(column, rows.schema.field(column), [values])
    gold_lake.put(key, parquet(rows, made))

    parity = GoldParity(settings, gold_lake, VOLATILITY_DAILY_TABLE, runner).compare("2026")

    assert parity.athena.equal
    assert parity.published.differing == 1
    assert parity.published.examples[0]["column"] == "ewma"
    assert parity.differing == 1


def test_gold_that_is_behind_its_silver_is_not_blamed(settings, runner, gold_lake):
    put(gold_lake, BARS_DAILY_TABLE, "2026", daily_bars(2026, days=50), MadeFrom())

    parity = GoldParity(settings, gold_lake, VOLATILITY_DAILY_TABLE, runner).compare("2026")

    assert parity.athena.equal
    assert parity.published is None
    assert "behind its silver" in parity.notes[0]


def test_silver_that_keeps_changing_is_told_and_no_difference(
    settings, runner, gold_lake, monkeypatch
):
    run = runner.run
    days = iter(range(41, 60))

    def run_late(sql):
        bars = daily_bars(2026, days=next(days))
        put(gold_lake, BARS_DAILY_TABLE, "2026", bars, MadeFrom())
        return run(sql)

    monkeypatch.setattr(runner, "run", run_late)

    parity = GoldParity(settings, gold_lake, VOLATILITY_DAILY_TABLE, runner).compare("2026")

    assert parity.athena is None
    assert "changed 3 times" in parity.notes[0]
