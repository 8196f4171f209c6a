"""JSON news, one article and symbol a message."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import ARTICLE
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "news",
    ARTICLE,
    message=(
        "one article and symbol as JSON: symbol, time, url, title, and where there are any "
        "summary, publisher, sentiment (-1 to 1), relevance (0 to 1), source"
    ),
    row="one article and symbol",
    names_source=True,
    csv_columns=("symbol", "time", "url", "title"),
    csv_text=frozenset({"symbol", "url", "title", "summary", "publisher", "source"}),
)
