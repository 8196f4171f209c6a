"""The fault proxy itself: a fault that does not happen would prove nothing."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from stock_pipeline.lake.store import Lake
from stock_pipeline_tests.support.fault_kinds import (
    answer,
    cut_after,
    cut_before,
    cut_within,
    hook,
    slow,
)
from stock_pipeline_tests.support.proxy import FaultProxy


@pytest.fixture
def client(lake: Lake, proxy: FaultProxy):
    """The bucket through the proxy, by a client that tries once."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=proxy.url,
        aws_access_key_id=lake.aws.access_key_id.get_secret_value(),
        aws_secret_access_key=lake.aws.secret_access_key.get_secret_value(),
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def test_calls_are_named_as_aws_names_them_and_reach_the_store(lake, client, proxy):
    client.put_object(Bucket=lake.bucket, Key="a/7.bin", Body=b"x" * 100_000)
    assert client.get_object(Bucket=lake.bucket, Key="a/7.bin")["Body"].read() == b"x" * 100_000
    client.head_object(Bucket=lake.bucket, Key="a/7.bin")
    client.list_objects_v2(Bucket=lake.bucket, Prefix="a/")
    client.delete_object(Bucket=lake.bucket, Key="a/7.bin")
    assert [call.step for call in proxy.calls] == [
        "PutObject a/#.bin",
        "GetObject a/#.bin",
        "HeadObject a/#.bin",
        "ListObjectsV2 a/",
        "DeleteObject a/#.bin",
    ]
    assert [call.number for call in proxy.calls] == [1, 2, 3, 4, 5]
    assert lake.head("a/7.bin") is None


def test_arrow_reads_through_the_proxy_too(lake, proxy):
    lake.put("a/b.bin", b"0123456789" * 1000)
    through = Lake(lake.aws.model_copy(update={"endpoint_url": proxy.url}))
    with through.filesystem.open_input_file(f"{lake.bucket}/a/b.bin") as file:
        file.seek(5000)
        assert file.read(10) == b"0123456789"
    assert "GetObject a/b.bin" in [call.step for call in proxy.calls]


def test_an_answer_in_the_stores_place_keeps_the_request_from_it(lake, client, proxy):
    rule = proxy.add(answer(503, "SlowDown"), operation="PutObject", skip=1, times=1)
    client.put_object(Bucket=lake.bucket, Key="first", Body=b"1")
    with pytest.raises(ClientError, match="SlowDown"):
        client.put_object(Bucket=lake.bucket, Key="second", Body=b"2")
    client.put_object(Bucket=lake.bucket, Key="third", Body=b"3")
    assert [entry.key for entry in lake.list("")] == ["first", "third"]
    assert rule.hits == 1


def test_a_cut_connection_leaves_the_object_or_not_as_asked(lake, client, proxy):
    proxy.add(cut_before, key="before")
    proxy.add(cut_after, key="after")
    for key in ("before", "after"):
        with pytest.raises(BotoCoreError):
            client.put_object(Bucket=lake.bucket, Key=key, Body=b"x")
    assert [entry.key for entry in lake.list("")] == ["after"]


def test_an_answer_is_cut_in_the_middle_of_its_body(lake, client, proxy):
    lake.put("object", b"x" * 1_000_000)
    proxy.add(cut_within, times=1)
    with pytest.raises((BotoCoreError, OSError)):
        client.get_object(Bucket=lake.bucket, Key="object")["Body"].read()
    assert len(client.get_object(Bucket=lake.bucket, Key="object")["Body"].read()) == 1_000_000


def test_a_hook_runs_before_the_store_acts_or_after_it(lake, client, proxy):
    seen = []
    proxy.add(
        hook(
            before=lambda call: seen.append(lake.head("object") is not None),
            after=lambda call: seen.append(lake.head("object") is not None),
        )
    )
    client.put_object(Bucket=lake.bucket, Key="object", Body=b"x")
    assert seen == [False, True]


def test_a_slow_answer_is_whole(lake, client, proxy):
    lake.put("object", b"x" * 10_000)
    proxy.add(slow(0.1, bytes_per_second=100_000))
    started = time.monotonic()
    assert len(client.get_object(Bucket=lake.bucket, Key="object")["Body"].read()) == 10_000
    assert time.monotonic() - started >= 0.15
