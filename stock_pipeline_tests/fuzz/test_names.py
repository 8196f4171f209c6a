"""Symbols and feed names stay what they are wherever they are written: no path, SQL or markup."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from functools import cache
from html.parser import HTMLParser
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from stock_pipeline.commands.query import _table
from stock_pipeline.defs.shared.pictures import chart, markdown_table, preview
from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.lake import layout
from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.lib.schemas import BARS_DAILY_TABLE
from stock_pipeline.lib.sql_files import text_literal
from stock_pipeline.tables.bars import bars_from_trades, roll_up
from stock_pipeline.tables.gold_sql import gold_sql
from stock_pipeline.tables.volatility import volatility_daily
from stock_pipeline_tests.fuzz.names import ACCEPTED, REJECTED
from stock_pipeline_tests.support.bar_tables import DAY, at, daily, sessions, trades
from stock_pipeline_tests.support.gold_tables import daily_average_price
from stock_pipeline_tests.support.gold_tables import volatility_intraday as intraday_volatility
from stock_pipeline_tests.support.records import BAR, INDEX_ROW, TRADE, as_json, records

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=1000)
hostile = st.sampled_from([*ACCEPTED, *REJECTED, "../" * 300, "'" * 1000]) | texts


@settings(max_examples=60, deadline=None)
@given(name=hostile, seq=st.integers(-1, 10**13), attempt=hostile)
def test_a_key_is_below_its_prefix_or_refused(name: str, seq: int, attempt: str) -> None:
    day = date(2026, 11, 21)
    makers: list[tuple[str, Any]] = [
        ("bronze/", lambda: layout.bronze_key(name, seq, day)),
        ("quarantine/", lambda: layout.quarantine_key(name, seq, day)),
        ("_offset_log/", lambda: layout.plan_key(name, seq)),
        ("_offset_log/", lambda: layout.commit_key(name, seq)),
        ("_offset_log/", lambda: layout.checkpoint_key(name, seq)),
        ("_rejected/", lambda: layout.rejected_key("gold", name, attempt, "r")),
        ("gold/", lambda: layout.table_object_key("gold", name, "year", attempt)),
    ]
    for prefix, make in makers:
        try:
            key = make()
        except ValueError:
            continue
        assert key.startswith(prefix)
        assert re.fullmatch(r"[A-Za-z0-9_=/.-]+", key)
        assert ".." not in key
        assert "//" not in key


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@settings(max_examples=60, deadline=None)
@given(value=hostile.filter(lambda text: "\0" not in text))
def test_a_literal_is_the_text_itself_in_duckdb_and_trino(value: str) -> None:
    literal = text_literal(value)
    found = _connection().execute(f"SELECT {literal}, count(*) FROM range(1)").fetchall()
    assert found == [(value, 1)]
    if not re.search(r"\s$|[\r\n]", value):
        (parsed,) = sqlglot.parse(f"SELECT {literal}", read="trino")
        assert parsed is not None
        assert [e.this for e in parsed.find_all(sqlglot.exp.Literal)] == [value]


@pytest.mark.parametrize(
    ("format_", "base", "member"),
    [("trade", TRADE, "symbol"), ("bar", BAR, "symbol"), ("index_daily", INDEX_ROW, "Index")],
)
def test_a_symbol_comes_out_of_the_decoder_as_it_went_in(
    format_: str, base: dict[str, Any], member: str
) -> None:
    decoder = Decoder(format_, "it's; --", "XNYS", [("[*", "24/7"), ("../*", "XLON")], 10_000)
    payloads = [as_json(base, **{member: symbol}) for symbol in (*ACCEPTED, *REJECTED)]
    decoded = decoder.decode(records(payloads), 1)
    assert decoded.rows["symbol"].to_pylist() == list(ACCEPTED)
    assert decoded.rejects.num_rows == len(REJECTED)
    if "source" in decoded.rows.column_names:
        assert set(decoded.rows["source"].to_pylist()) == {"it's; --"}


def test_silver_and_gold_keep_every_symbol_apart() -> None:
    made = trades(
        *(
            {"symbol": s, "event_time": at(minute), "price": 100.0 + n + minute}
            for n, s in enumerate(ACCEPTED)
            for minute in range(3)
        )
    )
    source = "it's; DROP TABLE x; --"
    bars = bars_from_trades(made, source, sessions(*ACCEPTED))
    assert sorted(set(bars["symbol"].to_pylist())) == sorted(ACCEPTED)
    assert set(bars["source"].to_pylist()) == {source}
    found = intraday_volatility(bars, [source, "b'c"])
    assert set(found["symbol"].to_pylist()) == set(ACCEPTED)
    rolled = roll_up(bars, DAY)
    assert sorted(rolled["symbol"].to_pylist()) == sorted(ACCEPTED)
    averages = daily_average_price(rolled, DAY.year, [source])
    assert dict(
        zip(averages["symbol"].to_pylist(), averages["avg_price"].to_pylist(), strict=True)
    ) == {s: pytest.approx(101.0 + n) for n, s in enumerate(ACCEPTED)}


def test_the_state_of_every_symbol_is_in_athenas_text_as_a_literal() -> None:
    rows = [
        {"symbol": s, "trade_date": date(2023, 12, 1) + timedelta(days=n), "close": 100.0 + n % 3}
        for s in ACCEPTED
        for n in range(60)
    ]
    bars = daily(*rows)
    first = daily(*(r for r in rows if r["trade_date"].year == 2023))
    _, state = volatility_daily(first, 2023, [5], 0.94, ["a'b"], {})
    assert set(state) == set(ACCEPTED)
    found, _ = volatility_daily(bars, 2024, [5], 0.94, ["a'b"], state)
    assert set(found["symbol"].to_pylist()) == set(ACCEPTED)
    text = gold_sql(
        "volatility_daily",
        partition="2024",
        source_table='"silver"."bars_daily"',
        windows=[5],
        ewma_lambda=0.94,
        precedence=["a'b"],
        state=state,
    )
    (parsed,) = sqlglot.parse(text, read="trino")
    assert parsed is not None
    literals = {e.this for e in parsed.find_all(sqlglot.exp.Literal) if e.is_string}
    assert set(ACCEPTED) <= literals


class _Cells(HTMLParser):
    """Text of each cell, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def _rendered(markdown: str) -> _Cells:
    cells = _Cells()
    cells.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    return cells


@settings(max_examples=60, deadline=None)
@given(values=st.lists(hostile, min_size=1, max_size=5))
def test_a_value_stays_in_its_cell_of_a_markdown_table(values: list[str]) -> None:
    table = pa.table({"symbol": values, "n": list(range(len(values)))})
    for markdown in (markdown_table(table), preview(table)):
        found = _rendered(markdown)
        assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td"}
        shown = [[one_line(v).strip(), str(n)] for n, v in enumerate(values)]
        assert [[c.strip() for c in row] for row in found.rows[1:]] == shown


@pytest.mark.parametrize("symbol", ACCEPTED)
def test_a_symbol_in_a_charts_title_is_text(symbol: str) -> None:
    picture = chart(
        BARS_DAILY_TABLE.chart, daily(*({"symbol": symbol, "close": c} for c in (1.0, 2.0)))
    )
    assert picture is not None
    renderer = MarkdownIt("commonmark", {"html": True})
    renderer.validateLink = lambda _: True  # type: ignore[method-assign] - it knows no SVG
    rendered = renderer.render(picture)
    assert sorted(re.findall(r"<(\w+)", rendered)) == ["img", "p", "p"]
    assert rendered.count("src=") == rendered.count('src="data:image/svg+xml;base64,') == 1


@settings(max_examples=60, deadline=None)
@given(values=st.lists(hostile, min_size=1, max_size=3))
def test_a_table_on_the_terminal_shows_text_and_obeys_none(values: list[str]) -> None:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        _table(pa.table({"symbol": values, "raw": [v.encode() for v in values]}))
    assert "\x1b" not in out.getvalue()
    assert "\0" not in out.getvalue()


def test_where_and_logs_show_json_with_escapes() -> None:
    assert "\x1b" not in json.dumps({"symbol": "\x1b[2J"}, default=str)
