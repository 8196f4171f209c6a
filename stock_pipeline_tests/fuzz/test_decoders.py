from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_pipeline.ingest.decode import Decoded
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline_tests.fuzz.campaign import Campaign
from stock_pipeline_tests.fuzz.mutate import Mutator
from stock_pipeline_tests.fuzz.properties import BrokenError, Subject
from stock_pipeline_tests.support.records import VALID, article, document, news_document, records

ANY_FORMAT = pytest.mark.parametrize("format_", sorted(FORMATS))
SHORT_FORM = 16_000


@cache
def subject(format_: str) -> Subject:
    return Subject(format_)


def test_no_mutated_payload_is_lost_doubled_or_costs_a_neighbour(
    at_the_end: Callable[[str], None],
) -> None:
    result = Campaign(SHORT_FORM, tuple(sorted(FORMATS)), workers=0).run()
    at_the_end(f"{result.summary()}; long form: make fuzz")
    assert result.failures == []
    assert (result.payloads, result.lost, result.crashes) == (SHORT_FORM, 0, 0)
    assert result.accepted > SHORT_FORM / 10
    assert result.rejected > SHORT_FORM / 10


@ANY_FORMAT
@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    raw=st.lists(st.binary(max_size=200) | st.none(), max_size=5),
    texts=st.lists(st.text(max_size=200), max_size=5),
)
def test_each_record_alone_gives_what_it_gives_among_others(
    format_: str, seed: int, raw: list[bytes | None], texts: list[str]
) -> None:
    given_texts = [t.encode("utf-8", "surrogatepass") for t in texts]
    payloads = [*Mutator(format_, seed).payloads(10), *raw, *given_texts]
    decoded = subject(format_).check(payloads, seed)
    for offset, payload in enumerate(payloads):
        alone = subject(format_).decode(records([payload]))
        among = decoded.rows.filter(decoded.rows["kafka_offset"].to_numpy() == offset)
        assert alone.rows.drop_columns("kafka_offset").equals(among.drop_columns("kafka_offset"))


@ANY_FORMAT
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_value_in_any_member_is_a_row_or_a_reject(format_: str, data: st.DataObject) -> None:
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
    values = data.draw(st.lists(json_values, min_size=1, max_size=20))
    subject(format_).check(
        [Mutator(format_, n).with_value(value) for n, value in enumerate(values)]
    )


def _huge(format_: str) -> dict[str, bytes]:
    """Messages of megabytes: each shape once took minutes or gigabytes somewhere."""
    text = VALID[format_].decode()[:-1]
    size = 2_000_000
    keys = "{" + ",".join(f'"k{n}":1' for n in range(size // 10)) + "}"
    member = {
        "alpha_vantage_intraday": "Time Series (1min)",
        "alpha_vantage_news": "feed",
        "index_daily": "Index",
    }
    name = member.get(format_, "symbol")
    bad_bars = {f"x{n}": {"1. open": "x"} for n in range(20_000)}
    return {
        "nested arrays": (f'{text},"x":' + "[" * (size // 2) + "]" * (size // 2) + "}").encode(),
        "unclosed arrays": b"[" * size,
        "nested objects": ('{"a":' * (size // 6) + "1" + "}" * (size // 6)).encode(),
        "a long string": (f'{text},"{name}":"' + "x" * 10_000_000 + '"}').encode(),
        "many members": (f'{{"{name}":{keys}}}').encode(),
        "many digits": (f'{{"{name}":' + "7" * size + "}").encode(),
        "bad bars": document(bad_bars),
        "bad articles": news_document(*[{"url": f"u{n}"} for n in range(20_000)]),
        "bad tickers": news_document(article(*[{"ticker": n} for n in range(20_000)])),
        "spaces": b" " * size + VALID[format_],
        "NUL bytes": b"\x00" * size,
    }


@ANY_FORMAT
@pytest.mark.timeout(240)
def test_messages_of_megabytes_are_judged_beside_small_ones(format_: str) -> None:
    payloads: list[bytes | None] = []
    for huge in _huge(format_).values():
        payloads += [VALID[format_], huge]
    decoded = subject(format_).check(payloads)
    assert set(range(0, len(payloads), 2)) <= set(decoded.rows["kafka_offset"].to_pylist())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak")
@pytest.mark.parametrize("format_", ["bar", "alpha_vantage_intraday", "alpha_vantage_news"])
def test_the_largest_hostile_messages_take_a_bounded_memory(format_: str) -> None:
    # Seven messages of the default max_message_bytes: 0.8 GiB; it was 5 GiB for one.
    command = [sys.executable, "-m", "stock_pipeline_tests.fuzz.memory", format_, str(4 * 1024**2)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1500


def test_the_properties_notice_a_lost_and_a_doubled_record() -> None:
    payloads: list[bytes | None] = [VALID["trade"], VALID["trade"], b"x"]
    tested = subject("trade")
    decoded = tested.check(payloads)
    rows, rejects = decoded.rows, decoded.rejects
    for said, wrong in (
        ("lost", Decoded(rows.slice(1), rejects)),
        ("lost", Decoded(rows, rejects.slice(0, 0))),
        ("rejected twice", Decoded(rows, pa.concat_tables([rejects, rejects]))),
    ):
        with pytest.raises(BrokenError, match=said):
            tested.judge(payloads, records(payloads), wrong, 0)


def test_a_batch_that_kills_its_process_is_named_and_the_rest_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCK_PIPELINE_FUZZ_DIE_AT", "3")
    result = Campaign(120, ("trade",), batch=20, workers=1).run()
    assert result.crashes == 1
    assert "over seed 3; again with" in result.failures[0]
    assert result.payloads == 100
