"""The Arrow schemas of records and bronze rows, by the names that docstrings use.

Apart from the register of formats, which is read without pyarrow.
"""

from __future__ import annotations

import pyarrow as pa

from stock_pipeline.lib.columns import schema_of
from stock_pipeline.lib.formats.grains import ACTION, ARTICLE, BAR, DAILY_BAR, TRADE
from stock_pipeline.lib.formats.records import QUARANTINE_COLUMNS, RECORD_COLUMNS

TIMESTAMP = pa.timestamp("us")

RECORDS = schema_of(RECORD_COLUMNS)
QUARANTINE = schema_of(QUARANTINE_COLUMNS)

TRADES = TRADE.schema
BARS = BAR.schema
DAILY_BARS = DAILY_BAR.schema
CORPORATE_ACTIONS = ACTION.schema
NEWS = ARTICLE.schema
