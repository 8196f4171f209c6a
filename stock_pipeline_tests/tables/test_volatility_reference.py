"""Every published reference value, and the well-known mistakes told apart from it."""

import pytest

from stock_pipeline_tests.support.sp500 import reference, values

TOLERANCE = 1e-9
ESTIMATORS = (
    "close_to_close",
    "parkinson",
    "garman_klass",
    "rogers_satchell",
    "yang_zhang",
    "ewma_094",
)

#: Columns and rows of volatility_sp500.csv that hold what a mistaken formula gives.
MISTAKES = {
    "variant_close_to_close_in_yz_openbb": "Yang-Zhang with close-to-close for open-to-close",
    "variant_yz_mlfinpy": "Yang-Zhang as mlfinpy has it",
    "close_to_close_ttr_n_closes": "close-to-close over n closes, so n - 1 returns",
    "close_to_close_zero_mean": "close-to-close without its mean",
    "gk_yang_zhang_ext": "Garman-Klass in Yang and Zhang's extension",
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_reference_value_is_met(estimator):
    rows = [r for r in reference("volatility_sp500_windows.csv") if r["estimator"] == estimator]
    assert len(rows) > 100
    for row in rows:
        ours = values()[estimator, int(row["n"]), row["date"]]
        assert ours == pytest.approx(float(row["value"]), rel=TOLERANCE), (row["n"], row["date"])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_first_valid_date_is_that_of_the_reference(estimator):
    first: dict[int, str] = {}
    for row in reference("volatility_sp500_windows.csv"):
        if row["estimator"] == estimator:
            n = int(row["n"])
            first[n] = min(first.get(n, row["date"]), row["date"])
    ours = {n: min(d for e, m, d in values() if (e, m) == (estimator, n)) for n in first}
    assert ours == first


def mistaken_for(ours, row):
    """Which known mistake a value equals, if any."""
    for column, mistake in MISTAKES.items():
        if row.get(column) and ours == pytest.approx(float(row[column]), rel=1e-6):
            return mistake
    return None


def test_values_are_those_of_ttr():
    """Six dates in windows of 20, 21 and 30; the file gives 12 decimals."""
    rows = [r for r in reference("volatility_sp500.csv") if r["estimator"] in ESTIMATORS]
    assert {row["annualisation"] for row in rows} == {"252"}
    assert len(rows) > 90
    for row in rows:
        at = (row["estimator"], int(row["n"]), row["date"])
        named = mistaken_for(values()[at], row)
        assert values()[at] == pytest.approx(float(row["value"]), abs=1e-12), (at, named)


@pytest.mark.parametrize(
    ("mistake", "right"),
    [
        ("close_to_close_ttr_n_closes", "close_to_close"),
        ("close_to_close_zero_mean", "close_to_close"),
        ("gk_yang_zhang_ext", "garman_klass"),
    ],
)
def test_values_are_not_those_of_another_definition(mistake, right):
    """On a date where the index opened at the last close, two definitions may agree."""
    rows = [r for r in reference("volatility_sp500.csv") if r["estimator"] == mistake]
    ours = [values()[right, int(row["n"]), row["date"]] for row in rows]
    theirs = [float(row["value"]) for row in rows]
    differing = sum(a != pytest.approx(b, rel=1e-6) for a, b in zip(ours, theirs, strict=True))
    assert differing > len(rows) / 2, MISTAKES[mistake]


def test_the_reference_tells_every_mistake_from_the_truth():
    rows = reference("volatility_sp500.csv")
    named = {row["estimator"] for row in rows}
    named |= {column for row in rows for column in MISTAKES if row.get(column)}
    assert named >= MISTAKES.keys()
    yang_zhang = [row for row in rows if row["estimator"] == "yang_zhang"]
    for row in yang_zhang:
        for column in ("variant_close_to_close_in_yz_openbb", "variant_yz_mlfinpy"):
            assert mistaken_for(float(row[column]), row) == MISTAKES[column]
        assert mistaken_for(float(row["value"]), row) is None
