"""A column of a table: its type, what it means, and what must hold of its values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Bounds:
    """What every value of a column must be; a NULL breaks no bound.

    Attributes:
        check: Name of the rule, as a refused result tells it.
        must: The bound in words, to follow "must be".
        least: Lowest value that is allowed.
        above: Values must be above this.
        most: Highest value that is allowed.
        below: Values must be below this.
    """

    check: str
    must: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None


#: Annualised volatilities are fractions: 100 is 10,000 %.
HIGHEST_VOLATILITY = 100.0

PRICE = Bounds("prices_positive", "above zero", above=0)
AMOUNT = Bounds("amounts_not_negative", "zero or more", least=0)
VOLATILITY = Bounds(
    "volatilities_bounded",
    f"from 0 to below {HIGHEST_VOLATILITY:g}",
    least=0,
    below=HIGHEST_VOLATILITY,
)
SHARE = Bounds("shares_bounded", "from 0 to 1", least=0, most=1)
SCORE = Bounds("shares_bounded", "from -1 to 1", least=-1, most=1)


@dataclass(frozen=True)
class Column:
    """A column of a bronze, silver or gold table.

    Attributes:
        name: Its name in the file.
        type: Its Arrow type, by Arrow's name for it.
        meaning: What it holds, in a sentence, as the UI shows it.
        nullable: Whether it may be NULL.
        unit: What a value counts, such as `UTC` or `price`; empty for names and texts.
        bounds: What its values must be; checked before a silver or gold result is published.
        at_most: Columns whose value in the same row it must not exceed, where the table has them.
    """

    name: str
    type: str
    meaning: str
    nullable: bool = False
    unit: str = ""
    bounds: Bounds | None = None
    at_most: tuple[str, ...] = ()


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """The Arrow schema of a file with these columns, in their order."""
    # Settings name the formats; those who only read settings start 0.1 to 0.2 s sooner.
    import pyarrow as pa

    return pa.schema(
        [pa.field(c.name, pa.type_for_alias(c.type), nullable=c.nullable) for c in columns]
    )


SYMBOL = Column("symbol", "string", "Ticker as the source writes it.")
SOURCE = Column("source", "string", "Who said it: the feed's source, or the vendor's.")
TRADE_DATE = Column("trade_date", "date32[day]", "Date of the exchange's session.", unit="date")

BAR_START = Column("bar_start", "timestamp[us]", "Start of the bar, UTC.", unit="UTC")
INTERVAL = Column("interval", "string", "Length of the bar: 1m, 5m, 1h.")
OPEN = Column("open", "double", "First price.", unit="price", bounds=PRICE, at_most=("high",))
HIGH = Column("high", "double", "Highest price.", unit="price", bounds=PRICE)
LOW = Column(
    "low",
    "double",
    "Lowest price.",
    unit="price",
    bounds=PRICE,
    at_most=("high", "open", "close"),
)
CLOSE = Column("close", "double", "Last price.", unit="price", bounds=PRICE, at_most=("high",))
ADJUSTED_CLOSE = Column(
    "adjusted_close",
    "double",
    "Close adjusted for splits and dividends, where the source gives it.",
    nullable=True,
    unit="price",
    bounds=PRICE,
)
CLOSE_USD = Column(
    "close_usd",
    "double",
    "Close in US dollars, where the source gives it.",
    nullable=True,
    unit="USD",
    bounds=PRICE,
)
VOLUME = Column(
    "volume",
    "double",
    "Units traded; sources send fractions.",
    unit="units",
    bounds=AMOUNT,
)
VWAP = Column(
    "vwap",
    "double",
    "Volume-weighted average price; NULL without volume.",
    nullable=True,
    unit="price",
    bounds=PRICE,
)
TRADE_COUNT = Column(
    "trade_count", "int64", "Number of trades.", nullable=True, unit="trades", bounds=AMOUNT
)

KIND = Column("kind", "string", "split or dividend.")
RATIO = Column(
    "ratio",
    "double",
    "Of a split: new shares for one old; NULL for a dividend.",
    nullable=True,
    unit="shares for one",
    bounds=PRICE,
)
AMOUNT_A_SHARE = Column(
    "amount",
    "double",
    "Of a dividend: cash a share; NULL for a split.",
    nullable=True,
    unit="currency a share",
    bounds=PRICE,
)
CURRENCY = Column(
    "currency", "string", "Currency of the amount, as the source writes it.", nullable=True
)

URL = Column("url", "string", "Address of the article, which names it.")
TITLE = Column("title", "string", "Title, its first 4,000 characters.")
SUMMARY = Column("summary", "string", "Summary, its first 4,000 characters.", nullable=True)
PUBLISHER = Column("publisher", "string", "Who published the article.", nullable=True)
OVERALL_SENTIMENT = Column(
    "overall_sentiment",
    "double",
    "The vendor's score of the whole article, -1 to 1.",
    nullable=True,
    bounds=SCORE,
)
RELEVANCE = Column(
    "relevance",
    "double",
    "How much of the article is about the symbol, 0 to 1, by the vendor.",
    nullable=True,
    bounds=SHARE,
)
LABEL = Column("label", "string", "The vendor's word for the score.", nullable=True)
