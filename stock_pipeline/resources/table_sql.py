"""Settings of silver and gold tables, and the digest by which new code makes them due."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from stock_pipeline.lib.due import BUILD_ORDER
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.lib.sql_files import text_of
from stock_pipeline.settings import Settings

#: Of feeds and symbols that name none.
DEFAULT_CALENDAR = "XNYS"

#: SQL files whose meaning a table depends on.
_FILES = {
    BARS_INTRADAY_TABLE.name: ("bars_intraday",),
    BARS_DAILY_TABLE.name: ("bars_daily",),
    VOLATILITY_INTRADAY_TABLE.name: ("volatility_intraday",),
    VOLATILITY_DAILY_TABLE.name: ("volatility_daily",),
    DAILY_AVERAGE_PRICE_TABLE.name: ("daily_average_price",),
}


def calendar_rules(settings: Settings) -> tuple[tuple[str, str], ...]:
    """(pattern, calendar) in order of precedence."""
    return tuple((rule.pattern, rule.calendar) for rule in settings.calendars)


def table_definitions(settings: Settings) -> dict[str, str]:
    """Digest of SQL text and settings by table name."""
    volatility = settings.volatility
    # Not the feeds: a new one must not make every partition due.
    sessions: list[Any] = [
        calendar_rules(settings),
        volatility.sessions_per_year,
        volatility.sessions_per_year_247,
    ]
    parameters: dict[str, list[Any]] = {
        BARS_INTRADAY_TABLE.name: sessions,
        BARS_DAILY_TABLE.name: sessions,
        VOLATILITY_INTRADAY_TABLE.name: [settings.source_precedence],
        VOLATILITY_DAILY_TABLE.name: [
            settings.source_precedence,
            volatility.windows,
            volatility.ewma_lambda,
        ],
        DAILY_AVERAGE_PRICE_TABLE.name: [settings.source_precedence],
    }
    return {
        table.name: _digest(
            [*(text_of(name) for name in _FILES[table.name]), parameters[table.name]]
        )
        for table in BUILD_ORDER
    }


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
