import math

import pyarrow as pa
import pytest

from stock_pipeline.catalogue.compare import MOST_DIFFERENCES, compare


def table(**columns):
    return pa.table(columns)


EXPECTED = table(symbol=["A", "B", "C"], value=[1.0, None, 3.0], n=[1, 2, 3])


def test_the_same_rows_in_another_order_are_equal():
    parity = compare(EXPECTED, EXPECTED.take([2, 0, 1]), ["symbol"])
    assert parity.equal
    assert (parity.rows, parity.max_relative_difference, parity.examples) == (3, 0.0, ())


def test_a_difference_below_the_tolerance_is_told_and_equal():
    actual = table(symbol=["A", "B", "C"], value=[1.0 + 1e-12, None, 3.0], n=[1, 2, 3])
    parity = compare(EXPECTED, actual, ["symbol"])
    assert parity.equal
    assert parity.max_relative_difference == pytest.approx(1e-12, rel=1e-3)


def test_a_difference_above_the_tolerance_is_found_with_its_row():
    actual = table(symbol=["A", "B", "C"], value=[1.0, None, 3.0 + 1e-8], n=[1, 2, 3])
    parity = compare(EXPECTED, actual, ["symbol"])
    assert parity.differing == 1
    assert parity.examples[0]["symbol"] == "C"
    assert parity.examples[0]["column"] == "value"


def test_a_null_is_not_zero():
    actual = table(symbol=["A", "B", "C"], value=[1.0, 0.0, 3.0], n=[1, 2, 3])
    assert compare(EXPECTED, actual, ["symbol"]).differing == 1


def test_a_nan_differs_from_a_number_and_equals_a_nan():
    nan = table(symbol=["A"], value=[math.nan])
    one = table(symbol=["A"], value=[1.0])
    assert compare(nan, nan, ["symbol"]).equal
    assert not compare(one, nan, ["symbol"]).equal
    assert not compare(nan, one, ["symbol"]).equal


def test_a_missing_row_and_a_row_too_many_are_differences():
    actual = table(symbol=["A", "B", "D"], value=[1.0, None, 3.0], n=[1, 2, 3])
    parity = compare(EXPECTED, actual, ["symbol"])
    assert parity.differing == 2
    assert {(e["symbol"], e["expected"], e["actual"]) for e in parity.examples} == {
        ("C", "a row", "no row"),
        ("D", "no row", "a row"),
    }


def test_a_difference_of_nearly_equal_numbers_is_zero_in_both():
    expected = table(symbol=["A", "B"], share=[0.5, 0.0])
    actual = table(symbol=["A", "B"], share=[0.5, 3e-16])
    assert compare(expected, actual, ["symbol"]).equal


def test_values_of_another_type_are_cast():
    actual = table(symbol=["A", "B", "C"], value=[1.0, None, 3.0], n=["1", "2", "3"])
    assert compare(EXPECTED, actual, ["symbol"]).equal


def test_a_column_too_few_is_an_error():
    with pytest.raises(KeyError):
        compare(EXPECTED, table(symbol=["A"]), ["symbol"])


def test_a_duplicated_key_does_not_stay_unseen():
    actual = pa.concat_tables([EXPECTED, EXPECTED.slice(0, 1)])
    assert not compare(EXPECTED, actual, ["symbol"]).equal


def test_no_more_examples_than_a_person_reads():
    expected = table(symbol=[str(i) for i in range(100)], value=[1.0] * 100, n=[0] * 100)
    actual = table(symbol=[str(i) for i in range(100)], value=[2.0] * 100, n=[1] * 100)
    parity = compare(expected, actual, ["symbol"])
    assert parity.differing == 200
    assert len(parity.examples) == MOST_DIFFERENCES
