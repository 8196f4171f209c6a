"""What the checks say of 57 years of real index prices: the figures of docs/quality.md."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from stock_pipeline.quality.checks import PRICES_PLAUSIBLE, TIMES_PLAUSIBLE, quality_findings
from stock_pipeline.quality.findings import Limits, QualityFinding
from stock_pipeline.settings import load_settings, project_root
from stock_pipeline.settings.calendars import calendar_rules
from stock_pipeline_tests.support.quality_bars import context, daily
from stock_pipeline_tests.support.sample_data import INDICES, needs_indices

pytestmark = needs_indices

COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adjusted_close",
    "Volume": "volume",
}


@pytest.fixture(scope="module")
def years() -> list[pa.Table]:
    """Daily bars by year, as silver has them."""
    rows = pa.csv.read_csv(INDICES)
    series = []
    for symbol in pc.unique(rows["Index"]).to_pylist():
        of_symbol = rows.filter(pc.equal(rows["Index"], symbol)).sort_by("Date")
        columns = {name: of_symbol[given].combine_chunks() for given, name in COLUMNS.items()}
        series.append(daily(columns, of_symbol["Date"].to_pylist(), symbol))
    bars = pa.concat_tables(series)
    of = pc.year(bars["trade_date"])
    return [bars.filter(pc.equal(of, year)) for year in sorted(pc.unique(of).to_pylist())]


def checked(years: list[pa.Table], limits: Limits) -> list[list[QualityFinding]]:
    """Findings of each yearly check of prices and of times."""
    rules = calendar_rules(load_settings(env_file=project_root() / "absent", environment={}))
    judged = context(limits=limits, rules=rules)
    return [
        findings
        for year in years
        for check, findings in quality_findings(year, judged).items()
        if check in {PRICES_PLAUSIBLE, TIMES_PLAUSIBLE}
    ]


def test_the_checks_find_in_57_years_of_indices_what_the_page_on_quality_says(years):
    found = checked(years, Limits())
    assert sum(year.num_rows for year in years) == 104_224
    assert (len(found), sum(bool(findings) for findings in found)) == (114, 53)
    findings = [finding for of_check in found for finding in of_check]
    assert Counter(finding.kind for finding in findings) == {
        "volume": 91,
        "outside": 49,
        "stale": 14,
        "duplicate": 11,
        "outlier": 11,
    }
    of = Counter((finding.kind, finding.symbol) for finding in findings)
    assert sum(of["volume", symbol] for symbol in ("NSEI", "NYA", "N225")) == 49
    assert (of["outside", "J203.JO"], of["stale", "N225"]) == (28, 12)
    copies = {f.start.date() for f in findings if (f.kind, f.symbol) == ("duplicate", "N100")}
    assert copies >= {date(2000, 4, 21), date(2000, 4, 24)}
    outliers = {f.start.year for f in findings if f.kind == "outlier"}
    assert outliers == {1987, 1989, 1997, 2008, 2009, 2012, 2017, 2020}


def test_without_a_floor_three_of_a_hundred_days_of_the_indices_are_outliers(years):
    found = checked(years, Limits(outlier_floor_daily=0.0))
    assert sum(f.kind == "outlier" for findings in found for f in findings) == 3_242
