import dagster as dg
import pytest

from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.defs.athena.assets import (
    EQUAL,
    VALID,
    ParityConfig,
    athena_asset,
    athena_key,
    first_parity_sensor,
)
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import VOLATILITY_DAILY_TABLE
from stock_pipeline.stack.provision import ensure_workgroup
from stock_pipeline.tables.due import key_of
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import parquet
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.small_lake import put_silver_and_gold


@pytest.fixture
def settings(ministack_endpoint, settings_for):
    made = settings_for(catalog={"method": "partitions"})
    ensure_workgroup(made)
    return made


@pytest.fixture
def lake(settings):
    made = Lake(settings.aws)
    put_silver_and_gold(settings, made)
    Catalogue(settings, made).sync()
    return made


def run(table=VOLATILITY_DAILY_TABLE, **config):
    name = "__".join(athena_key(table).path)
    here = location()
    return here.materialize(
        [athena_asset(here.settings, table)],
        raise_on_error=False,
        run_config=dg.RunConfig(ops={name: ParityConfig(**config)}),
    )


def checks(result):
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def change(lake, partition, column, value):
    """Overwrite the first value of a column of published volatility_daily."""
    key = key_of(VOLATILITY_DAILY_TABLE, partition)
    rows, _ = lake.read_table(key)
    made = MadeFrom.model_validate_json(lake.read_footer(key))
    rows = rows.replace_schema_metadata(None)
    values = rows[column].to_pylist()
    row = next(n for n, old in enumerate(values) if old is not None)
    values[row] = value(values[row])
    at = rows.schema.get_field_index(column)
    lake.put(key, parquet(rows.set_column(at, rows.schema.field(at), [values]), made))


def test_equal_gold_is_green_and_says_what_it_cost(lake):
    result = run()

    assert result.success
    assert {name: check.passed for name, check in checks(result).items()} == {
        VALID: True,
        EQUAL: True,
    }
    (event,) = result.asset_materializations_for_node("athena__volatility_daily")
    metadata = {name: value.value for name, value in event.metadata.items()}
    assert metadata["partitions"] == "2026, 2025"
    assert metadata["rows"] > 100
    assert metadata["bytes_scanned"] > 0
    assert metadata["estimated_usd"] > 0
    assert metadata["max_relative_difference"] < 1e-9
    assert metadata["query_ids"].count(",") == 1


def test_a_planted_difference_is_red_with_its_row(lake):
    change(lake, "2025", "ewma", lambda old: old * (1 + 1e-6))

    check = checks(run())[EQUAL]

    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "1 values of volatility_daily differ" in check.description
    assert "ewma" in check.metadata["published_2025"].value


def test_only_the_partitions_asked_for_are_compared(lake):
    change(lake, "2025", "ewma", lambda old: old * 2)

    assert checks(run(partitions=["2026"]))[EQUAL].passed


def test_rows_that_break_their_rules_never_reach_athena(lake):
    change(lake, "2026", "ewma", lambda old: -1.0)

    result = run()

    assert not result.success
    found = checks(result)
    assert not found[VALID].passed
    assert "Athena was not asked" in found[EQUAL].description
    assert result.asset_materializations_for_node("athena__volatility_daily") == []


def test_a_table_without_partitions_has_nothing_that_could_differ(settings):
    Catalogue(settings, Lake(settings.aws)).sync()

    check = checks(run())[EQUAL]

    assert check.passed
    assert "no partition yet" in check.description


def tick(instance, cursor=None):
    here = location()
    return here.tick(first_parity_sensor(here.settings), instance, cursor)


def test_the_first_comparison_waits_for_the_catalogue_and_is_asked_for_once(settings):
    with dg.instance_for_test() as instance:
        early, cursor = tick(instance)
        assert "does not know gold_daily_average_price" in early.skip_message

        lake = Lake(settings.aws)
        put_silver_and_gold(settings, lake)
        Catalogue(settings, lake).sync()
        first, cursor = tick(instance, cursor)
        second, _ = tick(instance, cursor)

    assert isinstance(first, dg.RunRequest)
    assert "was requested" in second.skip_message
