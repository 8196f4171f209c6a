"""The keys of the lake: the one module that knows where an object lives."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple
from urllib.parse import quote, unquote

from stock_pipeline.lib.plain_text import SAFE_NAME

SEQ_DIGITS = 12
#: Characters of a symbol, as the decoders allow.
MOST_SYMBOL = 64


def _safe(name: str) -> str:
    if not SAFE_NAME.match(name):
        raise ValueError(
            f"{name!r} cannot be part of an object key: use at most 100 letters, digits, '_', '-'."
        )
    return name


def _seq(seq: int) -> str:
    if seq < 0 or seq >= 10**SEQ_DIGITS:
        raise ValueError(f"sequence number {seq} is outside 0 to 10^{SEQ_DIGITS}.")
    return f"{seq:0{SEQ_DIGITS}d}"


def bronze_prefix(feed: str) -> str:
    """Prefix of a feed's bronze table, with the closing slash."""
    return f"bronze/{_safe(feed)}/"


def bronze_key(feed: str, seq: int, arrival_date: date) -> str:
    """Key of a batch's one bronze object; `arrival_date` is the UTC date of the plan."""
    folder = f"{bronze_prefix(feed)}arrival_date={arrival_date.isoformat()}"
    return f"{folder}/{feed}-{_seq(seq)}.parquet"


def quarantine_prefix(feed: str) -> str:
    """Prefix of a feed's quarantine table, with the closing slash."""
    return f"quarantine/{_safe(feed)}/"


def quarantine_key(feed: str, seq: int, arrival_date: date) -> str:
    """Key of a decided batch's rejects."""
    folder = f"{quarantine_prefix(feed)}arrival_date={arrival_date.isoformat()}"
    return f"{folder}/{feed}-{_seq(seq)}.parquet"


def attempt_prefix(feed: str) -> str:
    """Prefix of the rejects of attempts, which no reader looks at."""
    return f"_quarantine_attempts/{_safe(feed)}/"


def attempt_key(feed: str, seq: int, attempt: str) -> str:
    """Key of the rejects of one attempt at a batch; `attempt` is unique to the run."""
    return f"{attempt_prefix(feed)}{_seq(seq)}.{_safe(attempt)}.parquet"


def plan_prefix(feed: str) -> str:
    """Prefix of a feed's plans."""
    return f"_offset_log/{_safe(feed)}/plan/"


def plan_key(feed: str, seq: int) -> str:
    """Key of the plan with this sequence number."""
    return f"{plan_prefix(feed)}{_seq(seq)}.json"


def commit_prefix(feed: str) -> str:
    """Prefix of a feed's commits."""
    return f"_offset_log/{_safe(feed)}/commit/"


def commit_key(feed: str, seq: int) -> str:
    """Key of the commit with this sequence number."""
    return f"{commit_prefix(feed)}{_seq(seq)}.json"


def checkpoint_prefix(feed: str) -> str:
    """Prefix of a feed's checkpoints."""
    return f"_offset_log/{_safe(feed)}/checkpoint/"


def checkpoint_key(feed: str, seq: int) -> str:
    """Key of the checkpoint up to and including this sequence number."""
    return f"{checkpoint_prefix(feed)}{_seq(seq)}.json"


def seq_of_key(key: str) -> int:
    """Sequence number in a plan, commit, checkpoint or attempt key."""
    return int(key.rsplit("/", 1)[1].split(".", 1)[0])


def seq_of_object_key(key: str) -> int:
    """Sequence number in the key of a bronze or quarantine object.

    Raises:
        ValueError: It is not the key of a batch's object.
    """
    found = re.search(rf"-([0-9]{{{SEQ_DIGITS}}})(-[A-Za-z0-9_-]+)?\.parquet$", key)
    if found is None:
        raise ValueError(f"{key} is not the key of a batch's object.")
    return int(found[1])


def table_prefix(layer: str, table: str) -> str:
    """Prefix of a silver or gold table, with the closing slash."""
    return f"{_safe(layer)}/{_safe(table)}/"


def table_object_key(layer: str, table: str, partition_column: str, partition: str) -> str:
    """Key of the one object of a silver or gold partition.

    The file is named after the table's first word (`bars.parquet`, `volatility.parquet`).
    """
    stem = table.split("_", 1)[0]
    folder = f"{table_prefix(layer, table)}{_safe(partition_column)}={_safe(partition)}"
    return f"{folder}/{stem}.parquet"


def partition_of_key(key: str) -> str:
    """Partition value in a silver or gold object key, such as `2026-11-20` or `2026`."""
    return key.rsplit("/", 2)[1].split("=", 1)[1]


def rejected_key(layer: str, table: str, partition: str, run_id: str) -> str:
    """Key of a result that a blocking check refused to publish."""
    return f"_rejected/{_safe(layer)}/{_safe(table)}/{_safe(partition)}/{_safe(run_id)}.parquet"


#: Every landed object, of any source.
LANDING_PREFIX = "landing/"
#: Replaced after landed objects changed, so that a reader that watches them need not list them.
LANDING_MARK = "_landing/changed"


class Landed(NamedTuple):
    """What a landed object holds: bars of one symbol and interval.

    Attributes:
        source: Vendor, as the settings name it.
        symbol: As the vendor spells it.
        interval: Length of its bars, such as 1d.
        first: First trade_date.
        end: First trade_date after it (exclusive).
    """

    source: str
    symbol: str
    interval: str
    first: date
    end: date


def landing_key(landed: Landed) -> str:
    """Key of a landed object; characters of a symbol that a key may not have are encoded."""
    folder = f"{LANDING_PREFIX}{_safe(landed.source)}/{_encoded(landed.symbol)}"
    name = f"{landed.first.isoformat()}_{landed.end.isoformat()}"
    return f"{folder}/{_safe(landed.interval)}/{name}.csv"


def landed_of_key(key: str) -> Landed | None:
    """The landed object that has this key; None for any other key."""
    day = r"(\d{4}-\d{2}-\d{2})"
    found = re.fullmatch(rf"landing/([^/]+)/([^/]+)/([^/]+)/{day}_{day}\.csv", key)
    if found is None:
        return None
    source, symbol, interval, first, end = found.groups()
    try:
        landed = Landed(
            source, unquote(symbol), interval, date.fromisoformat(first), date.fromisoformat(end)
        )
        # Another spelling of a symbol in a key would make two objects for the same bars.
        return landed if landing_key(landed) == key else None
    except ValueError:
        return None


def _encoded(symbol: str) -> str:
    """A symbol as one folder: `BRK.B` as it is, `^GSPC` as `%5EGSPC`, `..` as `%2E%2E`."""
    if not symbol or len(symbol) > MOST_SYMBOL:
        raise ValueError(f"{symbol!r} cannot be a folder: a symbol has 1 to {MOST_SYMBOL} letters.")
    encoded = quote(symbol, safe="")
    return encoded.replace(".", "%2E") if set(encoded) == {"."} else encoded


#: Key in a Parquet footer under which a bronze, silver or gold object names what it was made from.
FOOTER_KEY = b"stock_pipeline"
