"""Settings of silver and gold tables, and the digest by which new code makes them due."""

from __future__ import annotations

from stock_pipeline.lib.schemas import VOLATILITY_DAILY_TABLE, TableSpec
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules
from stock_pipeline.tables.due import BUILD_ORDER
from stock_pipeline.tables.gold_sql import sql_definition


def table_definitions(settings: Settings) -> dict[str, str]:
    """Digest of SQL text and settings by table name."""
    return {table.name: sql_definition(table.name, **_of(settings, table)) for table in BUILD_ORDER}


def _of(settings: Settings, table: TableSpec) -> dict[str, object]:
    volatility = settings.volatility
    if table.layer == "silver":
        # Not the feeds: a new one must not make every partition due.
        return {
            "calendars": calendar_rules(settings),
            "sessions_per_year": volatility.sessions_per_year,
            "sessions_per_year_247": volatility.sessions_per_year_247,
        }
    if table is VOLATILITY_DAILY_TABLE:
        return {
            "precedence": settings.source_precedence,
            "windows": volatility.windows,
            "ewma_lambda": volatility.ewma_lambda,
        }
    return {"precedence": settings.source_precedence}
