"""JSON quotes: a kind of bronze row that there was not, which needs a silver table."""

from __future__ import annotations

from stock_pipeline.lib.columns import PRICE, SYMBOL, TRADE_DATE, Column
from stock_pipeline.lib.formats.records import KAFKA_COLUMNS
from stock_pipeline.lib.formats.spec import FormatSpec, Grain

BID = Column("bid", "double", "Highest price that a buyer offers.", bounds=PRICE)
ASK = Column("ask", "double", "Lowest price that a seller asks.", bounds=PRICE)

QUOTE = Grain(
    "quote",
    (
        SYMBOL,
        Column("event_time", "timestamp[us]", "When it was quoted, UTC."),
        BID,
        ASK,
        TRADE_DATE,
        *KAFKA_COLUMNS,
    ),
    silver=("quotes",),
)

FORMAT = FormatSpec(
    "quote",
    QUOTE,
    message="one quote as JSON: symbol, time, bid, ask",
    row="one quote",
    csv_columns=("symbol", "time", "bid", "ask"),
    csv_text=frozenset({"symbol", "time"}),
)
