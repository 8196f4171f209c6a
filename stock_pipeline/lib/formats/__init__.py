"""The register of message formats: one module a format, and its name here.

Whatever treats a format specially asks its `FormatSpec`; there is no other list of formats.
"""

from __future__ import annotations

from stock_pipeline.lib.formats import (
    alpha_vantage_intraday,
    alpha_vantage_news,
    bar,
    corporate_action,
    index_daily,
    news,
    trade,
)
from stock_pipeline.lib.formats.spec import FormatSpec, Grain

#: By name.
FORMATS: dict[str, FormatSpec] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        trade,
        bar,
        alpha_vantage_intraday,
        index_daily,
        corporate_action,
        alpha_vantage_news,
        news,
    )
}


def formats_of(grain: Grain) -> list[str]:
    """Names of the formats whose bronze rows are of a grain, in the register's order."""
    return [name for name, spec in FORMATS.items() if spec.grain is grain]
