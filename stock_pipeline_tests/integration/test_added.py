"""A new format and a new gold table need one module each, SQL, and their names in the registers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import trino_sql_validator

from stock_pipeline.catalogue.tables import lake_tables
from stock_pipeline.defs.ingest.assets import ingest_assets
from stock_pipeline.lib import sql_files
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.sources.files.csv_replay import file_messages
from stock_pipeline.stack.provision import ensure_workgroup
from stock_pipeline.tables.checks import violations
from stock_pipeline.tables.gold_sql import gold_sql
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import parquet
from stock_pipeline.tables.reads import key_of
from stock_pipeline.verify.report import Kind
from stock_pipeline_tests.support.added import quote, quotes, trading_range
from stock_pipeline_tests.support.added.tick import FORMAT
from stock_pipeline_tests.support.added.trading_range import TABLE
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.verified_lake import VerifiedLake

FEEDS = {"ticks": {"format": "tick", "source": "new_vendor", "calendar": "24/7"}}
PRICES = {"2026-01-05": (10.0, 8.0, 9.0), "2026-01-06": (20.0, 19.0, 18.0)}
TICKS = [
    {"s": "NEW", "t": f"{day}T12:0{minute}:00Z", "p": price}
    for day, prices in PRICES.items()
    for minute, price in enumerate(prices)
]
ROWS = [
    {"symbol": "NEW", "trade_date": date(2026, 1, 5), "top": 10.0, "bottom": 8.0},
    {"symbol": "NEW", "trade_date": date(2026, 1, 6), "top": 20.0, "bottom": 18.0},
]


@pytest.fixture(autouse=True)
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registers with both names, and `lib/sql` with both files."""
    for spec in (FORMAT, quote.FORMAT):
        monkeypatch.setitem(FORMATS, spec.name, spec)
    for table in (quotes.TABLE, TABLE):
        monkeypatch.setitem(TABLES, table.name, table)
    folder = tmp_path / "sql"
    folder.mkdir()
    for file in (
        *sql_files.FOLDER.glob("*.sql"),
        *Path(trading_range.__file__).parent.glob("*.sql"),
    ):
        (folder / file.name).symlink_to(file)
    monkeypatch.setattr(sql_files, "FOLDER", folder)
    sql_files.sql_text.cache_clear()
    yield
    sql_files.sql_text.cache_clear()


@pytest.fixture
def filled(settings_for, produce, ministack_endpoint, tmp_path) -> VerifiedLake:
    """A lake with six ticks and a message that is none, made into tables."""
    settings = settings_for(FEEDS, catalog={"method": "partitions"})
    ensure_workgroup(settings)
    messages = [*(json.dumps(tick).encode() for tick in TICKS), b'{"s": "NEW", "p": -1}']
    produce(settings.feeds["ticks"].topic, messages)
    lake = VerifiedLake(settings, tmp_path)
    (commit,) = lake.ingest("ticks")
    assert (commit.decision.rows, commit.decision.rejects) == (6, 1)
    lake.refresh(tuple(TABLES.values()))
    lake.catalogue.sync()
    return lake


def test_the_format_is_decoded_and_the_table_made(filled: VerifiedLake) -> None:
    rows = filled.lake.read_table(key_of(TABLE, "2026"))[0].to_pylist()
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS
    assert [row["range_share"] for row in rows] == pytest.approx([0.2, 0.1])
    assert {table.glue_name for table in lake_tables(filled.settings)} >= {
        "bronze_ticks",
        "gold_trading_range",
    }


def test_it_is_checked_by_its_bounds(filled: VerifiedLake) -> None:
    bad = pa.Table.from_pylist(
        [{**ROWS[0], "bottom": -30.0, "range_share": 4.0}, {**ROWS[1], "bottom": 21.0}],
        schema=TABLE.schema,
    )
    assert {v.check for v in violations(TABLE, bad)} == {
        "not_null",
        "shares_bounded",
        "bars_ordered",
    }


def test_it_is_shown_as_an_asset_with_columns_lineage_and_a_chart(filled: VerifiedLake) -> None:
    asset = location().table(TABLE)
    (bronze, _) = ingest_assets(filled.settings, "ticks").specs
    assert "Grain: one trade of the new vendor" in (bronze.description or "")
    (spec,) = asset.specs
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {"silver/bars_daily"}
    columns = {c.name: c.description for c in spec.metadata["dagster/column_schema"].columns}
    assert columns["range_share"] == "Share of the top that the range makes."
    result = location().materialize([asset], partition_key="2026")
    assert result.success
    (made,) = result.asset_materializations_for_node(asset.node_def.name)
    assert "range_share" in made.metadata["chart"].value
    assert {c.check_name for c in result.get_asset_check_evaluations()} == {"publishable"}


def test_it_is_verified_also_by_athena(filled: VerifiedLake) -> None:
    report = filled.verify(athena=True)
    assert report.findings == []
    (check,) = [check for check in report.checks if check.name == "gold/trading_range"]
    assert check.sentence == "1 partition made again from silver, 2 rows compared"
    key = key_of(TABLE, "2026")
    footer = MadeFrom.model_validate_json(filled.lake.read_footer(key) or "")
    rows = filled.lake.read_table(key)[0].replace_schema_metadata(None)
    filled.lake.put(key, parquet(rows.slice(0, 1), footer))
    wrong = [f for f in filled.verify().findings if f.kind is Kind.WRONG_GOLD]
    assert [finding.place for finding in wrong] == [key]


def test_a_new_kind_of_row_and_its_silver_table_need_no_more(
    settings_for, produce, ministack_endpoint, tmp_path
) -> None:
    feeds = {"quotes": {"format": "quote", "source": "new_vendor", "calendar": "24/7"}}
    settings = settings_for(feeds, catalog={"method": "partitions"})
    told = {"symbol": "NEW", "time": "2026-01-05T12:00:00Z", "bid": 9.0, "ask": 10.0}
    later = [told | {"bid": 9.5}, told | {"time": "2026-01-06T12:00:00Z"}, told | {"bid": 0}]
    lake = VerifiedLake(settings, tmp_path)
    for messages in ([told], later):
        produce(settings.feeds["quotes"].topic, [json.dumps(m).encode() for m in messages])
        lake.ingest("quotes")
        lake.refresh(tuple(TABLES.values()))
    rows = lake.lake.read_table(key_of(quotes.TABLE, "2026-01-05"))[0].to_pylist()
    assert [(row["symbol"], row["bid"], row["ask"]) for row in rows] == [("NEW", 9.5, 10.0)]
    lake.catalogue.sync()
    report = lake.verify()
    assert report.findings == []
    (check,) = [check for check in report.checks if check.name == "silver/quotes"]
    assert check.sentence == "2 partitions made again from bronze, 2 rows compared"


def test_its_sql_is_one_text_for_every_engine() -> None:
    text = gold_sql(TABLE.name, source_table="silver_bars_daily", partition="2026")
    assert trino_sql_validator.validate(text).valid


def test_a_file_of_such_messages_can_be_replayed(tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text("s,t,p\nNEW,2026-01-05T12:00:00Z,10\n")
    (message,) = file_messages(file, "tick")
    assert json.loads(message.value) == {"s": "NEW", "t": "2026-01-05T12:00:00Z", "p": 10}
