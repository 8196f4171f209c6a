"""What must hold for every batch of payloads, however hostile."""

from __future__ import annotations

import math
import random
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.ingest.decode import Decoded, Decoder
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE
from stock_pipeline_tests.fuzz import reading
from stock_pipeline_tests.support.records import records

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
RULES = [("SIM-*", "24/7"), ("HSI", "XHKG")]

#: Categories of characters that do not show.
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
#: First and last trade_date that a partition of silver can have.
_FIRST_DATE = {"trade": date(2000, 1, 1)}
_LAST_DATE = date(2026, 11, 22)


class BrokenError(AssertionError):
    """A property does not hold."""


class Subject:
    """The decoder of one format under test.

    Args:
        format_: Message format.
        max_message_bytes: As the feed's setting.
    """

    def __init__(self, format_: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.format = format_
        self._decoder = Decoder(format_, "src", "XNYS", RULES, max_message_bytes)

    def decode(self, table: pa.Table) -> Decoded:
        """Rows and rejects of these records."""
        return self._decoder.decode(table, incarnation=2)

    def check(self, payloads: Sequence[bytes | None], seed: int = 0) -> Decoded:
        """Decode a batch in several ways and compare.

        Args:
            payloads: One record each.
            seed: Where the batch is cut.

        Raises:
            BrokenError: A property does not hold; the sentence names the payload.
        """
        table = records(payloads)
        decoded = self.decode(table)
        self.judge(payloads, table, decoded, seed)
        return decoded

    def judge(
        self, payloads: Sequence[bytes | None], table: pa.Table, decoded: Decoded, seed: int
    ) -> None:
        """Whether `decoded` is what these payloads must become.

        Raises:
            BrokenError: A property does not hold; the sentence names the payload.
        """
        self.judge_result(payloads, decoded)
        self._rejects_cost_no_neighbour(table, decoded)
        self._cuts_change_nothing(table, decoded, random.Random(seed))

    def judge_result(self, payloads: Sequence[bytes | None], decoded: Decoded) -> None:
        """As `judge`, by what was decoded alone: without decoding again.

        Raises:
            BrokenError: A property does not hold; the sentence names the payload.
        """
        _each_in_one_place(payloads, decoded)
        _rejects_keep_their_bytes(payloads, decoded)
        _values_are_within_bounds(self.format, decoded)
        _agrees_with_another_reading(self.format, payloads, decoded)

    def _rejects_cost_no_neighbour(self, table: pa.Table, decoded: Decoded) -> None:
        good = np.unique(decoded.rows["kafka_offset"].to_numpy())
        alone = self.decode(table.take(good))
        if not alone.rows.equals(decoded.rows):
            raise BrokenError("Accepted records give other rows without their rejected neighbours.")

    def _cuts_change_nothing(self, table: pa.Table, decoded: Decoded, rng: random.Random) -> None:
        inner = range(1, table.num_rows)
        cuts = sorted(rng.sample(inner, min(len(inner), rng.randrange(1, 6))))
        bounds = [0, *cuts, table.num_rows]
        parts = [self.decode(table.slice(a, b - a)) for a, b in pairwise(bounds)]
        rows = pa.concat_tables([part.rows for part in parts])
        rejects = pa.concat_tables([part.rejects for part in parts])
        if not (rows.equals(decoded.rows) and rejects.equals(decoded.rejects)):
            raise BrokenError(f"Cut at {cuts} the same records give another result.")


def _each_in_one_place(payloads: Sequence[bytes | None], decoded: Decoded) -> None:
    accepted = set(decoded.rows["kafka_offset"].to_pylist())
    partial = decoded.rejects["partial"].to_pylist()
    offsets = decoded.rejects["kafka_offset"].to_pylist()
    whole = [o for o, part in zip(offsets, partial, strict=True) if not part]
    parts = {o for o, part in zip(offsets, partial, strict=True) if part}
    given = set(range(len(payloads)))
    problems = {
        "both accepted and rejected": accepted & set(whole),
        "rejected twice": {o for o, n in Counter(whole).items() if n > 1},
        "lost": given - accepted - set(whole),
        "from nowhere": (accepted | set(whole)) - given,
        "partly rejected but not accepted": parts - accepted,
    }
    for name, found in problems.items():
        if found:
            raise BrokenError(f"Records {name}: {_shown(payloads, found)}")


def _rejects_keep_their_bytes(payloads: Sequence[bytes | None], decoded: Decoded) -> None:
    whole = decoded.rejects.filter(pc.invert(decoded.rejects["partial"]))
    for row in whole.select(["kafka_offset", "payload", "kafka_key"]).to_pylist():
        given = payloads[row["kafka_offset"]]
        if row["payload"] != given or row["kafka_key"] != b"k":
            raise BrokenError(f"A reject has other bytes than {given!r:.500}: {row!r:.500}")
    details = [*decoded.rejects["reason"].to_pylist(), *decoded.rejects["detail"].to_pylist()]
    if any(len(text) > 400 or any(ord(c) < 32 for c in text) for text in details):
        raise BrokenError(f"A reason is no plain sentence: {max(details, key=len)!r:.500}")


def _values_are_within_bounds(format_: str, decoded: Decoded) -> None:
    rows = decoded.rows
    if not rows.schema.equals(FORMATS[format_].schema):
        raise BrokenError(f"Rows have the schema {rows.schema}.")
    if not decoded.rejects.schema.equals(QUARANTINE):
        raise BrokenError(f"Rejects have the schema {decoded.rejects.schema}.")
    for field in rows.schema:
        values = rows[field.name].to_pylist()
        if not field.nullable and None in values:
            raise BrokenError(f"Column {field.name} holds NULL.")
        known = [v for v in values if v is not None]
        bad = [v for v in known if not _allowed(format_, field.name, v)]
        if bad:
            raise BrokenError(f"Column {field.name} holds {bad[0]!r}.")


def _allowed(format_: str, name: str, value: Any) -> bool:
    if name in {"symbol", "source", "trade_id", "venue"}:
        most = 64 if name in {"symbol", "source"} else 200
        shown = not any(unicodedata.category(c) in _UNSEEN for c in value)
        trimmed = name in {"trade_id", "venue"} or value == value.strip()
        return 1 <= len(value) <= most and trimmed and shown
    if name in {"price", "open", "high", "low", "close", "adjusted_close", "close_usd", "vwap"}:
        return math.isfinite(value) and value > 0
    if name in {"size", "volume"}:
        return math.isfinite(value) and value >= 0
    if name in {"event_time", "bar_start"}:
        return datetime(1960, 1, 1) <= value <= datetime(2026, 11, 22)
    if name == "trade_date":
        return _FIRST_DATE.get(format_, date(1960, 1, 1)) <= value <= _LAST_DATE
    if name in {"relevance", "ticker_sentiment", "overall_sentiment"}:
        return bool((0 if name == "relevance" else -1) <= value <= 1)
    if name in {"ratio", "amount"}:
        return math.isfinite(value) and value > 0
    if name in {"url", "title", "summary", "publisher", "label", "kind", "currency"}:
        shown = not any(unicodedata.category(c) in _UNSEEN for c in value)
        return 1 <= len(value) <= 4000 and shown
    if name == "trade_count":
        return bool(0 <= value <= 10**15)
    return True


def _agrees_with_another_reading(
    format_: str, payloads: Sequence[bytes | None], decoded: Decoded
) -> None:
    if format_ == "alpha_vantage_intraday":
        _no_bar_is_lost(payloads, decoded)
        return
    if format_ == "alpha_vantage_news":
        _no_article_is_lost(payloads, decoded)
        return
    numbers = reading.NUMBERS[format_]
    for row in decoded.rows.select(["kafka_offset", "symbol", *numbers]).to_pylist():
        payload = payloads[row["kafka_offset"]] or b""
        try:
            document = reading.read(payload)
        except reading.TooDeepError:
            continue
        except ValueError as error:
            raise BrokenError(f"Accepted, but not JSON: {payload!r:.500}") from error
        if document[reading.SYMBOLS[format_]] != row["symbol"]:
            raise BrokenError(f"Symbol read as {row['symbol']!r} from {payload!r:.500}")
        for column, member in numbers.items():
            if row[column] is None:
                continue
            text = document[member]
            if "_" in str(text) or isinstance(text, bool) or float(text) != row[column]:
                raise BrokenError(f"{column} read as {row[column]!r} from {payload!r:.500}")


def _no_bar_is_lost(payloads: Sequence[bytes | None], decoded: Decoded) -> None:
    partial = decoded.rejects.filter(decoded.rejects["partial"])
    counts = Counter(decoded.rows["kafka_offset"].to_pylist())
    counts.update(partial["kafka_offset"].to_pylist())
    for offset in set(decoded.rows["kafka_offset"].to_pylist()):
        payload = payloads[offset] or b""
        try:
            bars = reading.bars_in(payload)
        except reading.TooDeepError:
            continue
        except ValueError as error:
            raise BrokenError(f"Accepted, but not JSON: {payload!r:.500}") from error
        if bars != counts[offset]:
            raise BrokenError(f"Of {bars} bars {counts[offset]} are left: {payload!r:.1500}")
    keys = decoded.rows.select(["kafka_offset", "bar_start"]).to_pylist()
    distinct = {tuple(key.values()) for key in keys}
    if len(distinct) != len(keys):
        raise BrokenError("One document gives two rows for one bar, and neither is the later one.")


def _no_article_is_lost(payloads: Sequence[bytes | None], decoded: Decoded) -> None:
    partial = decoded.rejects.filter(decoded.rejects["partial"])
    counts = Counter(decoded.rows["kafka_offset"].to_pylist())
    counts.update(partial["kafka_offset"].to_pylist())
    for offset in set(decoded.rows["kafka_offset"].to_pylist()):
        payload = payloads[offset] or b""
        try:
            least, most = reading.news_rows_in(payload)
        except reading.TooDeepError:
            continue
        except ValueError as error:
            raise BrokenError(f"Accepted, but not JSON: {payload!r:.500}") from error
        if not least <= counts[offset] <= most:
            raise BrokenError(
                f"Of {least} to {most} rows {counts[offset]} are left: {payload!r:.1500}"
            )


def _shown(payloads: Sequence[bytes | None], offsets: set[int]) -> str:
    return "; ".join(repr(payloads[o])[:500] for o in sorted(offsets)[:3] if o < len(payloads))
