"""Bars against a brute-force reference: whatever the order, the copies and the delay of trades."""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_pipeline.lib.schemas import BARS_INTRADAY_TABLE
from stock_pipeline.tables import bars
from stock_pipeline_tests.support.bar_tables import (
    OPEN,
    epoch_minute,
    intraday,
    sessions,
    trades,
)

SYMBOLS = ("A", "B")
SESSIONS = sessions(*SYMBOLS)
PROPERTY = settings(max_examples=60, deadline=None)
ORDER = ("incarnation", "kafka_partition", "kafka_offset")
LATEST = ("incarnation", "kafka_timestamp", "kafka_partition", "kafka_offset")

prints = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(SYMBOLS),
        "event_time": st.integers(0, 239).map(lambda s: OPEN + timedelta(seconds=s)),
        "price": st.integers(1, 40).map(lambda n: n / 4),
        "size": st.integers(0, 8).map(lambda n: n / 2),
        "venue": st.sampled_from([None, "X"]),
        "kafka_timestamp": st.integers(0, 3).map(lambda n: OPEN + timedelta(minutes=n)),
    }
)


@st.composite
def records(draw):
    """Trades as they lie in the topic: some with an id, some of these sent again later."""
    rows = []
    for number, fill in enumerate(draw(st.lists(prints, max_size=25))):
        named = draw(st.booleans())
        rows.append({**fill, "trade_id": str(number) if named else None})
        for _ in range(draw(st.integers(0, 2)) if named else 0):
            # Some sources send a trade again with another time.
            shift = timedelta(seconds=draw(st.sampled_from([0, 0, 60])))
            rows.append({**rows[-1], "event_time": rows[-1]["event_time"] + shift})
    for offset, row in enumerate(draw(st.permutations(rows))):
        row.update(kafka_offset=offset, kafka_partition=offset % 2, incarnation=1 + offset // 9)
    return rows


def reference(rows):
    """The bars of trades, one trade after the other."""
    seen, minutes = set(), defaultdict(list)
    for row in sorted(rows, key=lambda r: [r[c] for c in LATEST]):
        minute = epoch_minute(row["event_time"])
        identity = (row["symbol"], row["venue"], row["trade_id"], minute)
        if row["trade_id"] is not None and identity in seen:
            continue
        seen.add(identity)
        minutes[row["symbol"], row["event_time"].replace(second=0, microsecond=0)].append(row)
    made = []
    for (symbol, start), fills in sorted(minutes.items()):
        fills.sort(key=lambda r: (r["event_time"], *(r[c] for c in ORDER)))
        prices = [fill["price"] for fill in fills]
        volume = sum(fill["size"] for fill in fills)
        notional = sum(fill["price"] * fill["size"] for fill in fills)
        last = max(fills, key=lambda r: [r[c] for c in LATEST])
        made.append(
            {
                "symbol": symbol,
                "bar_start": start,
                "open": prices[0],
                "high": max(prices),
                "low": min(prices),
                "close": prices[-1],
                "volume": volume,
                "vwap": pytest.approx(notional / volume) if volume else None,
                "mean_price": pytest.approx(sum(prices) / len(prices)),
                "trade_count": len(prices),
                **{column: last[column] for column in LATEST},
            }
        )
    return made


@PROPERTY
@given(records(), st.randoms(use_true_random=False))
def test_bars_do_not_depend_on_the_order_in_which_trades_are_read(rows, random):
    shuffled = random.sample(rows, len(rows))
    made = bars.bars_from_trades(trades(*shuffled), "t", SESSIONS).to_pylist()
    expected = reference(rows)
    assert len(made) == len(expected)
    for row, right in zip(made, expected, strict=True):
        assert {name: row[name] for name in right} == right


@PROPERTY
@given(records(), st.lists(st.integers(0, 60), max_size=4))
def test_absorbing_batch_by_batch_gives_the_bars_of_all_trades_at_once(rows, cuts):
    """As silver does it: a batch recomputes its minutes from all batches that reach into them."""
    edges = [0, *sorted(cuts), len(rows)]
    batches = [rows[a:b] for a, b in pairwise(edges)]
    current = None
    for number, batch in enumerate(batches):
        touched = {epoch_minute(row["event_time"]) for row in batch}
        known = [row for earlier in batches[: number + 1] for row in earlier]
        reaching = [row for row in known if epoch_minute(row["event_time"]) in touched]
        fresh = bars.bars_from_trades(trades(*reaching), "t", SESSIONS)
        ranges = [(minute, minute + 1) for minute in touched]
        current = bars.replace_minutes(current, fresh, ranges, "t")
        # A batch absorbed again, by a retry, changes nothing.
        assert bars.replace_minutes(current, fresh, ranges, "t").equals(current)
    expected = bars.bars_from_trades(trades(*rows), "t", SESSIONS)
    assert current.select(EXACT).equals(expected.select(EXACT))


EXACT = [name for name in BARS_INTRADAY_TABLE.schema.names if name not in ("vwap", "mean_price")]

silver_rows = st.lists(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(SYMBOLS),
            "bar_start": st.integers(0, 3).map(lambda n: OPEN + timedelta(minutes=n)),
            "interval": st.sampled_from(["1m", "5m"]),
            "source": st.sampled_from(["s", "t"]),
            "incarnation": st.integers(1, 2),
            "kafka_timestamp": st.integers(0, 1).map(lambda n: OPEN + timedelta(minutes=n)),
            "kafka_partition": st.integers(0, 1),
            "kafka_offset": st.integers(0, 3),
        }
    ),
    max_size=12,
)


def silver(rows):
    """Bars whose prices follow from their record, as those of a decoded record do."""
    return intraday(*({**row, "close": float(1 + sum(row[c] for c in ORDER))} for row in rows))


KEY = BARS_INTRADAY_TABLE.key


@PROPERTY
@given(silver_rows, silver_rows, silver_rows)
def test_merging_is_idempotent_commutative_and_associative(first, second, third):
    a, b, c = silver(first), silver(second), silver(third)
    ab = bars.merge_latest(a, b, KEY)
    assert bars.merge_latest(ab, b, KEY).equals(ab)
    assert bars.merge_latest(ab, a, KEY).equals(ab)
    assert bars.merge_latest(b, a, KEY).equals(ab)
    left = bars.merge_latest(ab, c, KEY)
    assert left.equals(bars.merge_latest(a, bars.merge_latest(b, c, KEY), KEY))
    keys = [tuple(row[name] for name in KEY) for row in left.to_pylist()]
    assert keys == sorted(set(keys))


@PROPERTY
@given(silver_rows, st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_replacing_different_minutes_commutes(rows, some, others):
    current = bars.merge_latest(None, silver(rows), KEY)
    start = epoch_minute(OPEN)
    pieces = []
    for minutes in (some, others - some):
        fresh = intraday(
            *(
                {"bar_start": OPEN + timedelta(minutes=m), "close": 7.0 + m, "source": "s"}
                for m in minutes
            )
        )
        pieces.append((fresh, [(start + m, start + m + 1) for m in minutes]))
    (a, in_a), (b, in_b) = pieces
    one = bars.replace_minutes(bars.replace_minutes(current, a, in_a, "s"), b, in_b, "s")
    two = bars.replace_minutes(bars.replace_minutes(current, b, in_b, "s"), a, in_a, "s")
    assert one.equals(two)


def test_the_reference_itself_knows_a_late_copy_from_a_fill():
    fill = {
        "symbol": "A",
        "event_time": OPEN,
        "price": 1.0,
        "size": 1.0,
        "venue": None,
        "kafka_timestamp": OPEN,
        "trade_id": "1",
        "kafka_partition": 0,
        "incarnation": 1,
    }
    copies = [{**fill, "kafka_offset": n} for n in range(3)]
    assert [row["trade_count"] for row in reference(copies)] == [1]
    fills = [{**row, "trade_id": None} for row in copies]
    assert [row["trade_count"] for row in reference(fills)] == [3]
