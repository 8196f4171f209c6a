import re

import duckdb
import pyarrow as pa
import pytest
import sqlglot
import trino_sql_validator

from stock_pipeline.lib import sql_files
from stock_pipeline.lib.formats.arrow import CORPORATE_ACTIONS, NEWS
from stock_pipeline.lib.schemas import (
    CORPORATE_ACTIONS_TABLE,
    NEWS_TABLE,
    TABLES,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.tables.gold_sql import gold_sql, sql_definition
from stock_pipeline.tables.reads import with_partition
from stock_pipeline_tests.support.bar_tables import daily, feed_daily, intraday, sessions, trades
from stock_pipeline_tests.support.bar_tables import vendor_bars as vendor

STATE = {"A": (1.25e-4, 101.5), "O'NEIL": (None, 7.0)}
OURS = sorted(
    path.stem for path in sql_files.FOLDER.glob("*.sql") if not path.stem.startswith("decode_")
)
FRAGMENTS = {"volatility_daily_sums", "volatility_daily_frame", "volatility_daily_actions"}


def rendered() -> dict[str, str]:
    """Every silver and gold text as it is sent to an engine, by file."""
    precedence = ("index_daily", "it's")
    return {
        "bars_intraday_from_trades": sql_files.render(
            "bars_intraday_from_trades", trades="trades", sessions="sessions", source="'trades'"
        ),
        "bars_intraday_from_vendor": sql_files.render(
            "bars_intraday_from_vendor", bars="vendor_bars", sessions="sessions"
        ),
        "bars_daily_from_feed": sql_files.render(
            "bars_daily_from_feed", bars="feed_daily", sessions_per_year="sessions"
        ),
        "bars_daily_from_intraday": sql_files.render(
            "bars_daily_from_intraday", bars="bars_intraday", trade_date="DATE '2024-03-01'"
        ),
        "volatility_daily_state": sql_files.render(
            "volatility_daily_state",
            source_table="bars_daily",
            volatility_table="volatility_daily",
            year="'2024'",
            rank=sql_files.precedence_rank(precedence),
        ),
        "volatility_daily": gold_sql(
            "volatility_daily",
            source_table="bars_daily",
            partition="2024",
            windows=(5, 20, 60, 250),
            precedence=precedence,
            state=STATE,
        ),
        "volatility_daily with actions": gold_sql(
            "volatility_daily",
            source_table="bars_daily",
            others={"actions": "corporate_actions"},
            partition="2024",
            windows=(5, 20, 60, 250),
            precedence=precedence,
            state=STATE,
        ),
        "corporate_actions": sql_files.render("corporate_actions", actions="told_actions"),
        "news": sql_files.render("news", news="told_news"),
        "sentiment_daily": gold_sql(
            "sentiment_daily",
            source_table="news",
            others={
                "volatility_daily": "volatility_daily",
                "volatility_intraday": "volatility_intraday",
            },
            partition="2024",
        ),
        "sentiment_daily of news alone": gold_sql(
            "sentiment_daily", source_table="news", partition="2024"
        ),
        "volatility_intraday": gold_sql(
            "volatility_intraday",
            source_table="bars_intraday",
            partition="2024-03-01",
            precedence=precedence,
        ),
        "daily_average_price": gold_sql(
            "daily_average_price",
            source_table="bars_daily",
            partition="2024",
            precedence=precedence,
        ),
    }


def test_every_sql_file_of_silver_and_gold_is_among_the_rendered():
    files = {name.split(" ")[0] for name in rendered()}
    assert set(OURS) == files | FRAGMENTS


@pytest.mark.parametrize("name", sorted(rendered()))
def test_a_text_is_valid_trino_with_known_functions_and_types(name):
    result = trino_sql_validator.validate(rendered()[name])
    assert result.valid, result.error
    assert not result.unknown_functions
    assert not result.unknown_types
    assert not result.warnings


@pytest.mark.parametrize("engine", ["trino", "athena", "spark"])
@pytest.mark.parametrize("name", sorted(rendered()))
def test_a_text_parses_as_the_sql_of_the_other_engines(name, engine):
    statements = sqlglot.parse(rendered()[name], read=engine)
    assert len(statements) == 1


@pytest.mark.parametrize("name", sorted(rendered()))
def test_a_text_keeps_to_the_portable_subset(name):
    text = re.sub(r"--[^\n]*", "", rendered()[name])
    without_strings = re.sub(r"'(?:[^']|'')*'", "''", text)
    for banned in ("::", "QUALIFY", "GROUP BY ALL", "ASOF", "date_diff", '"', "STRING", "VARCHAR"):
        assert banned.lower() not in without_strings.lower(), banned
    assert not re.search(r"\blog\s*\(", without_strings, re.IGNORECASE)
    decimals = re.findall(r"\b\d+\.\d+(?!\d*E)", without_strings)
    assert not decimals, "a literal without exponent is DECIMAL"


@pytest.mark.parametrize("name", sorted(rendered()))
def test_a_text_runs_on_duckdb(name):
    with duckdb.connect() as con:
        con.register("trades", trades())
        con.register("vendor_bars", vendor())
        con.register("feed_daily", feed_daily())
        con.register("sessions", sessions("A"))
        con.register("intraday", intraday())
        con.register("daily", daily())
        con.execute(
            "CREATE VIEW bars_intraday AS SELECT *, '2024-03-01' AS trade_date FROM intraday"
        )
        con.execute("CREATE VIEW bars_daily AS SELECT *, '2024' AS year FROM daily")
        con.register("told_actions", CORPORATE_ACTIONS.empty_table())
        vader = pa.array([], pa.float64())
        con.register("told_news", NEWS.empty_table().append_column("vader", vader))
        for table in (
            CORPORATE_ACTIONS_TABLE,
            NEWS_TABLE,
            VOLATILITY_DAILY_TABLE,
            VOLATILITY_INTRADAY_TABLE,
        ):
            con.register(table.name, with_partition(table, {}))
        assert con.execute(rendered()[name]).fetchall() == []


def test_a_missing_or_unknown_parameter_is_named():
    with pytest.raises(ValueError, match=r"bars_daily_from_feed.*sessions_per_year"):
        sql_files.render("bars_daily_from_feed", bars="b")
    with pytest.raises(ValueError, match="wrong"):
        sql_files.render("bars_daily_from_feed", bars="b", sessions_per_year="s", wrong="x")


def test_double_literals_are_read_back_as_the_same_double():
    values = [0.94, 1 / 3, 1e-300, 123456789.123456789, 5e-324, -2.5]
    for value in values:
        text = sql_files.double_literal(value)
        [(kind, read)] = duckdb.sql(f"SELECT typeof({text}), {text}").fetchall()
        assert (kind, read) == ("DOUBLE", value)


def test_a_quote_in_a_name_stays_inside_its_literal():
    assert duckdb.sql(f"SELECT {sql_files.text_literal(chr(39) * 3 + '--')}").fetchall() == [
        ("'''--",)
    ]


def test_the_precedence_ranks_unknown_sources_last():
    rank = sql_files.precedence_rank(("b", "a"))
    rows = duckdb.sql(
        "SELECT source FROM (VALUES ('a'), ('z'), ('b'), ('c')) AS b (source) "
        f"ORDER BY {rank}, source"
    ).fetchall()
    assert [source for (source,) in rows] == ["b", "a", "c", "z"]
    assert sql_files.precedence_rank(()) == "0"


def test_a_definition_changes_with_settings_and_differs_between_tables():
    tables = list(TABLES.values())
    digests = {sql_definition(table.name, windows=(5,)) for table in tables}
    digests |= {sql_definition(table.name, windows=(5, 20)) for table in tables}
    assert len(digests) == 2 * len(tables)
    with pytest.raises(ValueError, match="no file"):
        sql_definition("unknown_table")


@pytest.mark.parametrize(
    ("windows", "ewma_lambda"), [((), 0.94), ((1, 5), 0.94), ((5,), 0.1), ((5,), 1.0)]
)
def test_windows_and_lambda_outside_their_bounds_are_refused(windows, ewma_lambda):
    with pytest.raises(ValueError, match="must be"):
        gold_sql(
            "volatility_daily",
            source_table="b",
            partition="2024",
            windows=windows,
            ewma_lambda=ewma_lambda,
        )
