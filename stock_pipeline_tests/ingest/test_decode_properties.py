from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_pipeline.ingest.decode import Decoded, Decoder
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline_tests.support.records import VALID, records

ANY_FORMAT = pytest.mark.parametrize("format_", sorted(FORMATS))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2026-11-20T15:00:00Z", "NaN", "1e999", "-0", "", "1_0", "infinity"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@cache
def decoder(format_: str) -> Decoder:
    return Decoder(format_, "s", "XNYS", [("SIM-*", "24/7")], max_message_bytes=50_000)


def decode(format_: str, payloads: list[bytes | None]) -> Decoded:
    return decoder(format_).decode(records(payloads), incarnation=1)


@st.composite
def mutations(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid message with bytes replaced, removed or put in, or with other values."""
    if draw(st.booleans()):
        document = json.loads(valid)
        target: Any = document
        while draw(st.booleans()) and isinstance(target, dict) and target:
            inner = target[draw(st.sampled_from(sorted(target)))]
            target = inner if isinstance(inner, dict) and inner else target
        target[draw(st.sampled_from([*sorted(target), "extra"]))] = draw(VALUES)
        return json.dumps(document, ensure_ascii=draw(st.booleans())).encode(
            "utf-8", "surrogatepass"
        )
    start = draw(st.integers(0, len(valid)))
    end = draw(st.integers(start, min(len(valid), start + 5)))
    return valid[:start] + draw(st.binary(max_size=4)) + valid[end:]


def payloads_of(format_: str) -> st.SearchStrategy[list[bytes | None]]:
    anything = st.binary(max_size=50) | st.none() | st.just(VALID[format_])
    return st.lists(anything | mutations(VALID[format_]), min_size=1, max_size=12)


@ANY_FORMAT
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_record_lands_in_exactly_one_place(format_: str, data: st.DataObject) -> None:
    payloads = data.draw(payloads_of(format_))
    decoded = decode(format_, payloads)
    accepted = set(decoded.rows["kafka_offset"].to_pylist())
    whole = decoded.rejects.filter(~decoded.rejects["partial"].to_numpy())
    rejected = whole["kafka_offset"].to_pylist()
    partial = decoded.rejects.filter(decoded.rejects["partial"])["kafka_offset"].to_pylist()
    assert len(rejected) == len(set(rejected))
    assert accepted.isdisjoint(rejected)
    assert accepted | set(rejected) == set(range(len(payloads)))
    assert set(partial) <= accepted


@ANY_FORMAT
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_reject_never_changes_its_neighbours_rows(format_: str, data: st.DataObject) -> None:
    payloads = data.draw(payloads_of(format_))
    together = decode(format_, payloads).rows.drop_columns(["kafka_offset"]).to_pylist()
    alone = [
        found
        for payload in payloads
        for found in decode(format_, [payload]).rows.drop_columns(["kafka_offset"]).to_pylist()
    ]
    assert together == alone


@ANY_FORMAT
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_accepted_prices_are_finite_and_above_zero(format_: str, data: st.DataObject) -> None:
    rows = decode(format_, data.draw(payloads_of(format_))).rows
    for name in {"price", "open", "high", "low", "close"} & set(rows.column_names):
        assert all(0 < value < float("inf") for value in rows[name].to_pylist())
    assert all(1 <= len(symbol) <= 64 for symbol in rows["symbol"].to_pylist())
