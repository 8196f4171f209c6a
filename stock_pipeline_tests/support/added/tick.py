"""JSON trades with short names, as a new vendor might send them."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import TRADE
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "tick",
    TRADE,
    message="one trade as JSON: s, t, p",
    row="one trade of the new vendor",
    csv_columns=("s", "t", "p"),
    csv_text=frozenset({"s"}),
)
