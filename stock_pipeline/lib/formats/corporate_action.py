"""JSON splits and dividends: what Yahoo sends."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import ACTION
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "corporate_action",
    ACTION,
    message=(
        "one split or dividend as JSON: symbol, ex_date (ISO), kind (`split` or `dividend`), ratio "
        "(new shares for one old) or amount (a share, in the price's currency), and where there "
        "are any currency and source"
    ),
    row="one split or dividend",
    names_source=True,
    csv_columns=("symbol", "ex_date", "kind"),
    csv_text=frozenset({"symbol", "ex_date", "kind", "currency", "source"}),
)
