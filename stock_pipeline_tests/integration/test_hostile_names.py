"""Symbols that try to be paths, SQL or markup, from a real topic to gold, Athena and the shell."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.query import query
from stock_pipeline.defs.athena.assets import ParityConfig, athena_asset, athena_key
from stock_pipeline.ingest.where import locate
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import VOLATILITY_DAILY_TABLE
from stock_pipeline.stack.provision import ensure_workgroup
from stock_pipeline_tests.fuzz.names import ACCEPTED, REJECTED
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.records import INDEX_ROW, as_json
from stock_pipeline_tests.support.trades import ingest_all

SOURCE = "it's; DROP TABLE x; --"
FEEDS = {
    "trades": {"format": "trade", "source": SOURCE, "calendar": "24/7"},
    "daily": {"format": "index_daily", "source": SOURCE, "calendar": "24/7"},
}
#: Days in two years: the second year's SQL holds the state of every symbol.
DAYS = [date(2024, 12, 20) + timedelta(days=n) for n in range(20)]


def _trade(symbol: str, minute: int) -> bytes:
    time = f"2025-06-03T10:{minute:02d}:00Z"
    return json.dumps({"symbol": symbol, "time": time, "price": 100 + minute, "size": 1}).encode()


def _daily(symbol: str, day: date, price: float) -> bytes:
    values = dict.fromkeys(["Open", "High", "Low", "Close", "Adj Close"], price)
    return as_json(INDEX_ROW | values, Index=symbol, Date=day.isoformat(), Volume=1)


def test_hostile_symbols_go_the_whole_way_as_text(
    settings_for: Any, ministack_endpoint: str, broker: str, produce: Any
) -> None:
    settings = settings_for(
        FEEDS,
        catalog={"method": "partitions"},
        source_precedence=[SOURCE],
        volatility={"windows": [5]},
    )
    ensure_workgroup(settings)
    symbols = (*ACCEPTED, *REJECTED)
    produce(settings.feeds["trades"].topic, [_trade(s, m) for s in symbols for m in range(3)])
    produce(
        settings.feeds["daily"].topic,
        [_daily(s, day, 100.0 + n % 3) for s in symbols for n, day in enumerate(DAYS)],
    )
    for feed, each in (("trades", 3), ("daily", len(DAYS))):
        (done,) = ingest_all(settings, feed)
        assert done.commit.decision.rows == each * len(ACCEPTED)
        assert done.commit.decision.rejects == each * len(REJECTED)
    assert location().refresh().success

    lake = Lake(settings.aws)
    keys = [entry.key for entry in lake.list("")]
    assert len(keys) < 40
    assert all(key.isascii() and ".." not in key and "'" not in key for key in keys)
    for table in ("bars_intraday", "bars_daily"):
        found = query(settings, lake, f"SELECT DISTINCT symbol FROM silver.{table}")
        assert set(found["symbol"].to_pylist()) == set(ACCEPTED)
    for table in ("volatility_daily", "volatility_intraday", "daily_average_price"):
        found = query(settings, lake, f"SELECT DISTINCT symbol FROM gold.{table}")
        assert set(found["symbol"].to_pylist()) == set(ACCEPTED)
    assert locate(lake, "trades", 0, 0, None)["rows"][0]["symbol"] == ACCEPTED[0]
    assert locate(lake, "trades", 0, 3 * len(ACCEPTED), None)["fate"] == "reject"

    Catalogue(settings, lake).sync()
    name = "__".join(athena_key(VOLATILITY_DAILY_TABLE).path)
    result = location().materialize(
        [athena_asset(settings, VOLATILITY_DAILY_TABLE)],
        run_config=dg.RunConfig(ops={name: ParityConfig(partitions=["2025"])}),
    )
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks
    assert all(checks.values()), checks


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_the_shell_shows_hostile_symbols_and_obeys_none(
    settings_for: Any, ministack_endpoint: str, broker: str, produce: Any, form: str
) -> None:
    from stock_pipeline.cli import app

    settings = settings_for({"trades": FEEDS["trades"]})
    topic = settings.feeds["trades"].topic
    produce(topic, [_trade(s, 0) for s in (*ACCEPTED, *REJECTED)] + [b"\x1b[2J\x07{", b"\xff"])
    ingest_all(settings)
    for sql in ('SELECT * FROM bronze."trades"', 'SELECT * FROM quarantine."trades"'):
        shown = CliRunner().invoke(app, ["query", sql, "--format", form])
        assert shown.exit_code == 0, shown.output
        assert form == "csv" or "\x1b" not in shown.output
    for command in (["quarantine", "list"], ["quarantine", "show", "trades", "--limit", "50"]):
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code == 0, shown.output
        assert "\x1b[2J" not in shown.output
