"""Settings of silver and gold tables, and the digest by which new code makes them due."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules
from stock_pipeline.tables.gold_sql import sql_definition

#: What `TableSpec.settings` may name.
SETTINGS: Mapping[str, Callable[[Settings], object]] = {
    "calendars": calendar_rules,
    "sessions_per_year": lambda s: s.volatility.sessions_per_year,
    "sessions_per_year_247": lambda s: s.volatility.sessions_per_year_247,
    "precedence": lambda s: s.source_precedence,
    "windows": lambda s: s.volatility.windows,
    "ewma_lambda": lambda s: s.volatility.ewma_lambda,
}


def table_definitions(settings: Settings) -> dict[str, str]:
    """Digest of SQL text and settings by table name."""
    return {
        table.name: sql_definition(
            table.name, **{name: SETTINGS[name](settings) for name in table.settings}
        )
        for table in TABLES.values()
    }
