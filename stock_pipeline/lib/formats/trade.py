"""JSON trades: what Finnhub, Massive and the simulator send."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import TRADE
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "trade",
    TRADE,
    message=(
        "one trade as JSON: symbol, time, price, size, and where there is one a trade id and a "
        "venue"
    ),
    row="one trade",
    csv_columns=("symbol", "time", "price", "size"),
    csv_text=frozenset({"symbol", "trade_id", "venue"}),
)
