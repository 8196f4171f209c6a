"""Credentials that expire between any two requests are renewed, for every way to the store."""

from __future__ import annotations

import io
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stock_pipeline.aws.session import aws_client, credentials_of
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import Lake
from stock_pipeline_tests.support.fault_kinds import answer
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.roles import ROLE, make_anybody
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade


@pytest.fixture
def expiring(ministack_endpoint, settings_for):
    """Settings of an assumed role behind a proxy, the proxy, and access keys that are no more."""
    settings = settings_for(FEEDS)
    make_anybody(settings.aws)
    expired: set[str] = set()
    with FaultProxy(ministack_endpoint) as proxy:
        proxy.add(
            answer(400, "ExpiredToken"),
            lambda call: any(key in (call.header("Authorization") or "") for key in expired),
        )
        aws = settings.aws.model_copy(update={"role_arn": ROLE, "endpoint_url": proxy.url})
        yield settings.model_copy(update={"aws": aws}), proxy, expired


def expire(aws, expired):
    expired.add(credentials_of(aws).get_frozen_credentials().access_key)


def test_every_access_goes_on_with_renewed_credentials(expiring):
    settings, _, expired = expiring
    aws, lake = settings.aws, Lake(settings.aws)
    body = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({FOOTER_KEY: b"made"}), body)
    etag = lake.put("bronze/x", body.getvalue())
    files = lake.filesystem
    accesses = {
        "get": lambda: lake.get("bronze/x"),
        "head": lambda: lake.head("bronze/x"),
        "list": lambda: list(lake.list("bronze/")),
        "footer": lambda: lake.read_footer("bronze/x"),
        "table": lambda: pq.read_table(f"{lake.bucket}/bronze/x", filesystem=files),
        "put_if_absent": lambda: lake.put_if_absent("bronze/y", io.BytesIO(b"new")),
        "replace": lambda: lake.replace("bronze/x", b"changed", etag),
        "delete": lambda: lake.delete("bronze/y"),
        "glue": lambda: aws_client("glue", aws).get_databases(),
        "athena": lambda: aws_client("athena", aws).list_work_groups(),
    }
    for access in accesses.values():
        expire(aws, expired)
        access()
    assert lake.get("bronze/x")[0] == b"changed"
    assert lake.head("bronze/y") is None
    assert len(expired) == len(accesses)


def test_a_batch_during_which_each_request_finds_its_credentials_expired(expiring, broker, produce):
    settings, proxy, expired = expiring
    produce(settings.feeds["trades"].topic, [trade(n) for n in range(10)] + [b"{"])

    def forward_and_expire(exchange):
        exchange.reply(exchange.forward())
        found = re.search(r"Credential=(ASIA\w+)/", exchange.call.header("Authorization") or "")
        # Writes only: the two reads of a footer are one access.
        if found and exchange.call.writes:
            expired.add(found[1])

    proxy.add(forward_and_expire, lambda call: call.service == "s3")
    (done,) = ingest_all(settings)
    assert (done.commit.decision.rows, done.commit.decision.rejects) == (10, 1)
    assert len(expired) > 3
    assert ingest_all(settings) == []
