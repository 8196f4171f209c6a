"""`stock-pipeline verify` as a person meets it: tables, sentences and exit codes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from stock_pipeline.cli import app
from stock_pipeline.lake import layout
from stock_pipeline_tests.support.verified_lake import VerifiedLake, trade

FEEDS = {"trades": {"format": "trade", "source": "trades", "calendar": "24/7"}}
#: A terminal wide enough that rich breaks no line.
WIDE = {"COLUMNS": "240"}


@pytest.fixture
def built(settings_for, ministack_endpoint, broker, produce, tmp_path):
    settings = settings_for(FEEDS, catalog={"method": "partitions"})
    lake = VerifiedLake(settings, tmp_path)
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(10)] + [b"{"])
    lake.ingest("trades")
    lake.refresh()
    lake.catalogue.sync()
    return lake


def run(*arguments):
    return CliRunner().invoke(app, ["verify", "--no-athena", *arguments], env=WIDE)


def test_exit_code_0_and_a_table_where_all_agree_then_1_and_a_sentence_for_the_damage(built):
    done = run("--grace", "0")
    assert done.exit_code == 0, done.output
    assert "Everything agrees." in done.output
    assert "Offsets = rows + rejects + holes + lost" in done.output
    document = json.loads(run("--json", "--no-broker").stdout)
    assert document["agrees"] is True
    (ledger,) = document["ledgers"]
    assert (ledger["offsets"], ledger["accepted"], ledger["rejected"]) == (11, 10, 1)

    key = built.commit("trades", 0).decision.object_key
    built.lake.delete(key)
    done = run("--feed", "trades", "--no-broker")
    assert done.exit_code == 1
    assert (
        f"missing object: The commit of batch 0 names {key}, and nothing is there." in done.output
    )
    assert "stock-pipeline batch supersede trades 0" in done.output
    document = json.loads(run("--json", "--no-broker").stdout)
    assert {"kind": "missing object", "batch": 0, "place": key}.items() <= (
        document["findings"][0].items()
    )


def test_an_empty_lake_agrees(settings_for, ministack_endpoint, broker):
    settings_for(FEEDS, catalog={"method": "partitions"})
    done = run()
    assert done.exit_code == 0, done.output


def test_bad_usage_is_exit_code_2(settings_for):
    settings_for(FEEDS)
    for arguments, words in (
        (["--feed", "nothing"], "There is no feed nothing; feeds: trades"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "--to is before --from"),
        (["--from", "yesterday"], "yesterday"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert words in done.output


def test_a_broker_that_does_not_answer_is_a_finding_and_the_rest_is_compared(built, monkeypatch):
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__REQUEST_TIMEOUT_SECONDS", "1")
    from stock_pipeline.settings import get_settings

    get_settings.cache_clear()
    done = run("--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert [f["kind"] for f in document["findings"]] == ["not compared"]
    assert any(c["name"] == "silver/bars_intraday" for c in document["checks"])
    assert built.lake.head(layout.commit_key("trades", 0))
