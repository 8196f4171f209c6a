"""Alpha Vantage's documents of news with sentiment."""

from __future__ import annotations

from stock_pipeline.lib.formats.grains import ARTICLE
from stock_pipeline.lib.formats.spec import FormatSpec

FORMAT = FormatSpec(
    "alpha_vantage_news",
    ARTICLE,
    message="the vendor's whole NEWS_SENTIMENT response, many articles",
    row="one article and ticker of a vendor document",
    document=True,
)
