from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.ingest.documents import TradeDateSpan
from stock_pipeline.ingest.spans import MAX_RANGES, event_time_span, merge_spans, trade_date_spans

DAY = date(2026, 11, 20)
FIRST = 1_796_000_000 // 60


def rows(*at: tuple[date, int]) -> pa.Table:
    """Rows of these trade_dates at these minutes since 1970."""
    return pa.table(
        {
            "event_time": pa.array([m * 60_000_000 + 1 for _, m in at]).cast(pa.timestamp("us")),
            "trade_date": pa.array([d for d, _ in at], pa.date32()),
        }
    )


def test_neighbouring_minutes_become_one_half_open_range() -> None:
    spans = trade_date_spans(rows((DAY, 12), (DAY, 10), (DAY, 11), (DAY, 20), (DAY, 11)))
    assert spans == {DAY: TradeDateSpan(rows=5, minutes=((10, 13), (20, 21)))}


def test_each_date_has_its_own_minutes() -> None:
    other = date(2026, 11, 22)
    spans = trade_date_spans(rows((DAY, 10), (other, 11), (DAY, 12)))
    assert spans[DAY] == TradeDateSpan(rows=2, minutes=((10, 11), (12, 13)))
    assert spans[other] == TradeDateSpan(rows=1, minutes=((11, 12),))


def test_a_daily_row_takes_its_dates_midnight() -> None:
    table = pa.table({"trade_date": pa.array([date(1969, 12, 31)], pa.date32())})
    assert trade_date_spans(table) == {
        date(1969, 12, 31): TradeDateSpan(rows=1, minutes=((-1440, -1439),))
    }
    assert event_time_span(table) == (datetime(1969, 12, 31), datetime(1969, 12, 31))


def test_of_too_many_ranges_the_widest_gaps_stay() -> None:
    minutes = [FIRST + 2 * n for n in range(MAX_RANGES)] + [FIRST + 10_000]
    (span,) = trade_date_spans(rows(*((DAY, m) for m in minutes))).values()
    assert len(span.minutes) == MAX_RANGES
    assert span.minutes[-1] == (FIRST + 10_000, FIRST + 10_001)


def test_nothing_has_no_span() -> None:
    assert trade_date_spans(rows()) == {}
    assert event_time_span(rows()) is None


@given(
    st.lists(
        st.tuples(st.sampled_from([DAY, date(2026, 11, 21)]), st.integers(0, 400)), min_size=1
    ),
    st.integers(0, 100),
)
def test_spans_of_chunks_merge_to_those_of_the_whole(at: list[tuple[date, int]], cut: int) -> None:
    merged = merge_spans(trade_date_spans(rows(*at[:cut])), trade_date_spans(rows(*at[cut:])))
    assert {d: s.rows for d, s in merged.items()} == {
        d: s.rows for d, s in trade_date_spans(rows(*at)).items()
    }
    for day, minute in at:
        assert any(start <= minute < end for start, end in merged[day].minutes)
