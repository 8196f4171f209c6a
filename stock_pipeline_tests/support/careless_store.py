"""A store that is careless about conditional requests: the emulator behind a proxy."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from stock_pipeline.settings import get_settings
from stock_pipeline_tests.faults.calls import Call
from stock_pipeline_tests.support.proxy import Answer, Exchange, FaultProxy


@contextmanager
def careless_store(
    endpoint_url: str,
    drops: tuple[str, str] | None = None,
    checks_then_writes: bool = False,
    clock_offset_seconds: float = 0.0,
) -> Iterator[str]:
    """Run the proxy; yields its URL.

    Args:
        endpoint_url: The real store.
        drops: Method and header that it forgets, such as ("PUT", "If-None-Match").
        checks_then_writes: Put-if-absent as a look and then a write, once another has looked too,
            or a second later.
        clock_offset_seconds: Added to the time in the `Date` header of its answers.
    """
    looked: Counter[str] = Counter()
    turn = threading.Condition()

    def careless(exchange: Exchange) -> None:
        call = exchange.call
        forgotten = drops[1] if drops and call.method == drops[0] else ""
        conditional = call.header("If-None-Match") is not None
        if checks_then_writes and call.method == "PUT" and conditional:
            forgotten = "If-None-Match"
            kept = {k: v for k, v in call.headers.items() if not k.startswith("x-amz-content")}
            look = forward(exchange, replace(call, method="HEAD", headers=kept, body=b""))
            if look.status == 200:
                exchange.reply(Answer(412, {}, b""))
                return
            with turn:
                looked[call.target] += 1
                turn.notify_all()
                turn.wait_for(lambda: looked[call.target] > 1, timeout=1)
        if forgotten:
            headers = {k: v for k, v in call.headers.items() if k.lower() != forgotten.lower()}
            said = forward(exchange, replace(call, headers=headers))
        else:
            said = exchange.forward()
        date = formatdate(time.time() + clock_offset_seconds, usegmt=True)
        others = {k: v for k, v in said.headers.items() if k.lower() != "date"}
        exchange.reply(replace(said, headers=others | {"Date": date}))

    with FaultProxy(endpoint_url) as proxy:
        proxy.add(careless)
        yield proxy.url


class _Again(S3SigV4Auth):  # type: ignore[misc]
    """Signs what a client had signed already: the hash of its body stays."""

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        SigV4Auth._modify_request_before_signing(self, request)


def forward(exchange: Exchange, call: Call) -> Answer:
    """Ask the real store for something else than the client did, so by a signature of ours."""
    aws = get_settings().aws
    assert aws.access_key_id
    assert aws.secret_access_key
    keys = Credentials(
        aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value()
    )
    unsigned = {"authorization", "x-amz-date", "content-length", "transfer-encoding", "expect"}
    headers = {k: v for k, v in call.headers.items() if k.lower() not in unsigned}
    if not any(k.lower() == "x-amz-content-sha256" for k in headers):
        headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    request = AWSRequest(
        method=call.method,
        url=f"http://{call.header('Host')}{call.target}",
        headers=headers,
        data=call.body,
    )
    _Again(keys, "s3", aws.region).add_auth(request)
    return exchange.forward(method=call.method, headers=dict(request.headers), body=call.body)
