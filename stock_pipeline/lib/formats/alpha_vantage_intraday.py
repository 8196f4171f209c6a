"""Alpha Vantage's documents of bars, intraday and daily."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import BAR
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "alpha_vantage_intraday",
    BAR,
    message="the vendor's whole response, many bars",
    row="one bar of a vendor document",
    document=True,
)
