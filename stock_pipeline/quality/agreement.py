"""A day as a vendor gives it, held against the same day added up from trades or intraday bars."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_PRICES = ("open", "high", "low", "close")
_DAY = ["symbol", "trade_date"]


def disagreements(bars: pa.Table, tolerance: float) -> list[dict[str, Any]]:
    """Prices of a symbol's day that a vendor's daily bar and a roll-up tell differently.

    Args:
        bars: SILVER_BARS_DAILY of any dates; a rolled-up row counts its bars, a vendor's has none.
        tolerance: Share of the vendor's price that is no difference.

    Returns:
        One entry a price: symbol, trade_date, which price, both values with their sources, the
        difference in percent of the vendor's, and how many bars the roll-up is made of; the largest
        difference first.
    """
    given = bars.filter(pc.field("bar_count").is_null())
    rolled = bars.filter(pc.field("bar_count").is_valid())
    both = given.select([*_DAY, "source", *_PRICES]).join(
        rolled.select([*_DAY, "source", "bar_count", *_PRICES]),
        keys=_DAY,
        join_type="inner",
        left_suffix="",
        right_suffix="_rolled",
    )
    found: list[dict[str, Any]] = []
    for price in _PRICES:
        other = both[f"{price}_rolled"]
        # By a price of zero anything else is infinitely far off, and zero is no difference.
        share = pc.divide(pc.abs(pc.subtract(other, both[price])), both[price])
        rows = both.append_column("share", share).filter(pc.field("share") > tolerance)
        found += [
            {
                "symbol": row["symbol"],
                "trade_date": row["trade_date"].isoformat(),
                "price": price,
                "daily": row[price],
                "daily_source": row["source"],
                "rolled_up": row[f"{price}_rolled"],
                "rolled_up_source": row["source_rolled"],
                "percent": round(100 * row["share"], 4),
                "bars": row["bar_count"],
            }
            for row in rows.to_pylist()
        ]
    return sorted(found, key=lambda r: (-r["percent"], r["symbol"], r["trade_date"], r["price"]))
