"""Conditional writes and whole reads on a store that conflicts, breaks off and answers late."""

from __future__ import annotations

import io
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, ResponseStreamingError

from stock_pipeline.catalogue.tables import parquet_schema
from stock_pipeline.lake import store as lake_module
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import (
    DamagedObjectError,
    Lake,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from stock_pipeline_tests.support.fault_kinds import answer, cut_after, cut_within, hang, hook
from stock_pipeline_tests.support.proxy import FaultProxy

CONFLICT = answer(409, "ConditionalRequestConflict")


@pytest.fixture
def proxy(ministack_endpoint: str):
    with FaultProxy(ministack_endpoint) as proxy:
        yield proxy


@pytest.fixture
def through(lake: Lake, proxy: FaultProxy) -> Lake:
    return Lake(lake.aws.model_copy(update={"endpoint_url": proxy.url}))


def test_a_conflict_is_tried_again_with_the_whole_body(lake, proxy, through):
    conflict = proxy.add(CONFLICT, operation="PutObject", times=2)
    etag = through.put_if_absent("new", io.BytesIO(b"body"))
    assert lake.get("new") == (b"body", etag)
    assert conflict.hits == 2
    proxy.mend()
    proxy.add(CONFLICT, operation="PutObject", times=2)
    swapped = through.replace("new", io.BytesIO(b"other body"), etag)
    assert lake.get("new") == (b"other body", swapped)


def test_a_conflict_with_a_writer_that_won_is_a_failed_precondition(lake, proxy, through):
    proxy.add(CONFLICT, operation="PutObject", times=1)
    lake.put("new", b"the winner's")
    with pytest.raises(PreconditionFailedError):
        through.put_if_absent("new", b"the loser's")
    assert lake.get("new")[0] == b"the winner's"


def test_a_conflict_without_end_is_an_error_and_no_winner(lake, proxy, through, monkeypatch):
    monkeypatch.setattr(lake_module, "CONFLICT_PAUSES", (0.0, 0.0))
    conflict = proxy.add(CONFLICT, operation="PutObject")
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        through.put_if_absent("new", b"body")
    assert conflict.hits == 3
    assert lake.head("new") is None


def test_a_put_that_succeeded_though_its_answer_was_lost_meets_its_own_object(lake, proxy, through):
    """botocore sends it again; whoever asks reads back whose object it is."""
    proxy.add(cut_after, operation="PutObject", times=1)
    with pytest.raises(PreconditionFailedError):
        through.put_if_absent("new", b"body")
    assert lake.get("new")[0] == b"body"


def test_a_body_that_breaks_off_is_read_again_from_its_beginning(lake, proxy, through):
    lake.put("object", b"x" * 1_000_000)
    cut = proxy.add(cut_within, operation="GetObject", times=2)
    assert through.get("object")[0] == b"x" * 1_000_000
    assert cut.hits == 2


def test_an_error_that_breaks_off_is_asked_for_again(lake, proxy, through):
    cut = proxy.add(cut_within, operation="GetObject", times=2)
    with pytest.raises(ObjectNotFoundError):
        through.get("nothing")
    assert cut.hits == 2
    proxy.add(cut_within, operation="GetObject")
    with pytest.raises(ResponseStreamingError):
        through.get("nothing")


def test_a_store_that_does_not_answer_is_given_up_and_asked_again(lake, proxy):
    lake.put("object", b"x")
    aws = lake.aws.model_copy(update={"endpoint_url": proxy.url, "request_timeout_seconds": 0.5})
    over = threading.Event()
    try:
        hung = proxy.add(hang(over, store_does_it=True), operation="GetObject", times=2)
        assert Lake(aws).get("object")[0] == b"x"
        assert hung.hits == 2
    finally:
        over.set()


def parquet(state_bytes: int, rows: int) -> bytes:
    body = io.BytesIO()
    table = pa.table({"x": list(range(rows))})
    with pq.ParquetWriter(body, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({FOOTER_KEY: b"%d" % rows + b" " * state_bytes})
    return body.getvalue()


@pytest.mark.parametrize("state_bytes", [0, 200_000])
def test_the_footer_of_an_object_is_of_one_version_while_it_is_replaced(
    lake, proxy, through, state_bytes
):
    """Replaced between any two requests of the reader, by smaller and larger objects."""
    lake.put("object", parquet(state_bytes, 1))
    versions = iter([parquet(state_bytes, 50_000), parquet(state_bytes * 2, 2)])
    proxy.add(hook(after=lambda call: lake.put("object", next(versions))), times=2)
    footer = through.read_footer("object")
    assert footer is not None
    assert footer.strip() == (b"1" if state_bytes == 0 else b"2")
    assert parquet_schema(through, "object").names == ["x"]


def test_an_object_that_is_no_parquet_says_so(lake):
    lake.put("object", b"x" * 100)
    with pytest.raises(DamagedObjectError, match="magic bytes"):
        lake.read_footer("object")
    with pytest.raises(ObjectNotFoundError):
        lake.read_footer("nothing")
