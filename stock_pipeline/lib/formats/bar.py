"""JSON bars: what Yahoo, Massive and history send."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import BAR
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "bar",
    BAR,
    message="one bar as JSON: symbol, start, interval, open, high, low, close, volume",
    row="one bar",
    names_source=True,
    csv_columns=("symbol", "start", "interval", "open", "high", "low", "close", "volume"),
    csv_text=frozenset({"symbol", "start", "interval", "source"}),
)
