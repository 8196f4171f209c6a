import datetime
import decimal
import math

import pyarrow as pa
import pytest

from stock_pipeline.catalogue.athena import cost_usd, typed_array, typed_table


def page(columns, rows):
    return {
        "ResultSetMetadata": {"ColumnInfo": [{"Name": n, "Type": t} for n, t in columns]},
        "Rows": [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows],
    }


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("boolean", "true", True),
        ("integer", "-7", -7),
        ("bigint", "9007199254740993", 9007199254740993),
        ("double", "1.0E-5", 1e-5),
        ("double", "0.1", 0.1),
        ("double", "Infinity", math.inf),
        ("date", "2026-11-20", datetime.date(2026, 11, 20)),
        (
            "timestamp",
            "2026-11-20 14:30:00.123",
            datetime.datetime(2026, 11, 20, 14, 30, 0, 123000),
        ),
        ("timestamp", "2026-11-20 14:30:00", datetime.datetime(2026, 11, 20, 14, 30)),
        ("decimal", "12.50", decimal.Decimal("12.50")),
        ("decimal(10,2)", "12.50", decimal.Decimal("12.50")),
        ("varbinary", "48 65", b"He"),
        ("varchar", "", ""),
        ("array", "[1, 2]", "[1, 2]"),
    ],
)
def test_a_text_becomes_a_value_of_its_type(kind, text, value):
    assert typed_array([text, None], kind).to_pylist() == [value, None]


def test_a_nan_stays_a_nan():
    assert math.isnan(typed_array(["NaN"], "double")[0].as_py())


def test_a_text_of_another_type_is_an_error():
    with pytest.raises(pa.ArrowInvalid):
        typed_array(["yes"], "integer")


def test_pages_become_one_table_without_the_header():
    columns = [("symbol", "varchar"), ("n", "bigint")]
    pages = [page(columns, [["symbol", "n"], ["A", "1"]]), page(columns, [["symbol", None]])]
    table = typed_table(iter(pages))
    assert table.to_pylist() == [{"symbol": "A", "n": 1}, {"symbol": "symbol", "n": None}]


def test_a_result_without_rows_keeps_its_columns_and_types():
    table = typed_table(iter([page([("n", "bigint"), ("at", "timestamp")], [["n", "at"]])]))
    assert table.schema == pa.schema([("n", pa.int64()), ("at", pa.timestamp("us"))])
    assert table.num_rows == 0


def test_a_query_costs_at_least_ten_mebibytes():
    assert cost_usd(1, 5.0) == pytest.approx(10 * 1024**2 / 1024**4 * 5.0)
    assert cost_usd(1024**4, 5.0) == pytest.approx(5.0)
