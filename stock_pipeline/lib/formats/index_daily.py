"""Rows of daily index prices, from CSV files."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import DAILY_BAR
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "index_daily",
    DAILY_BAR,
    message="one row of daily index prices as JSON",
    row="one daily bar",
    csv_columns=("Index", "Date", "Open", "High", "Low", "Close", "Volume"),
    csv_text=frozenset({"Index", "Date"}),
)
