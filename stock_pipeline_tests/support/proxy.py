"""A real HTTP proxy in front of the AWS emulator: whatever goes wrong between us and S3.

Every externally visible step of ours is one HTTP request to S3, Glue or Athena, so that a fault
before or after the n-th request is a fault between any two steps; the product holds no code for it.

    with FaultProxy(endpoint_url) as proxy:
        proxy.add(answer(503, "SlowDown"), operation="PutObject", times=2)
        ...a client of proxy.url...
        assert [call.operation for call in proxy.calls] == [...]
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from stock_pipeline_tests.faults.calls import Call, described

#: The store itself answers within this.
UPSTREAM_SECONDS = 120
#: Headers that belong to one connection, or that the proxy sets itself.
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Answer:
    """What the store, or the fault in its place, says."""

    status: int
    headers: dict[str, str]
    body: bytes


class Exchange:
    """One request and what may be done with it; a fault calls these."""

    def __init__(self, call: Call, handler: _Handler) -> None:
        self.call = call
        self._handler = handler

    def forward(self, **changes: Any) -> Answer:
        """Ask the real store; `changes` are fields of the call to replace."""
        return self._handler.ask(replace(self.call, **changes))

    def reply(self, answer: Answer, bytes_per_second: float | None = None) -> None:
        """Give the client this answer, slowly if asked to."""
        self._handler.answer(answer, bytes_per_second)

    def cut(self, begun: Answer | None = None) -> None:
        """Reset the connection, in the middle of an answer's body if one is given."""
        self._handler.reset(begun)


Fault = Callable[[Exchange], None]


@dataclass
class Rule:
    """A fault and the calls that it befalls; `hits` counts them."""

    fault: Fault
    matches: Callable[[Call], bool]
    skip: int
    times: int | None
    hits: int = 0
    seen: int = 0

    def befalls(self, call: Call) -> bool:
        """Whether this call is the rule's; counts."""
        if not self.matches(call):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


def forward(exchange: Exchange) -> None:
    """No fault."""
    exchange.reply(exchange.forward())


class FaultProxy:
    """The proxy; a context manager. One a process under test, so that calls are its own."""

    def __init__(self, upstream: str) -> None:
        self.upstream_url = upstream
        self.upstream = urlsplit(upstream).netloc
        self.calls: list[Call] = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def url(self) -> str:
        """Endpoint for clients."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(
        self,
        fault: Fault,
        matches: Callable[[Call], bool] = lambda call: True,
        *,
        operation: str = "",
        key: str = "",
        number: int | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> Rule:
        """From now on a fault befalls calls that match everything given; the first rule wins.

        Args:
            fault: What happens.
            matches: Any condition on the call.
            operation: Regular expression that the operation matches as a whole.
            key: Regular expression that is found in the key.
            number: Only the n-th call.
            skip: Matching calls that go through first.
            times: The most calls that it befalls.
        """

        def all_match(call: Call) -> bool:
            return (
                (not operation or re.fullmatch(operation, call.operation) is not None)
                and (not key or re.search(key, call.key) is not None)
                and (number is None or call.number == number)
                and matches(call)
            )

        rule = Rule(fault, all_match, skip, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def mend(self) -> None:
        """No faults any more."""
        with self._lock:
            self._rules.clear()

    def reset(self) -> None:
        """Forget rules and calls: the next call is number 1."""
        with self._lock:
            self._rules.clear()
            self.calls.clear()

    def take(self, method: str, target: str, headers: dict[str, str], body: bytes) -> _Taken:
        """Number a request and find its fault."""
        service, operation, key = described(method, target, headers)
        with self._lock:
            number = len(self.calls) + 1
            call = Call(number, method, target, service, operation, key, headers, body)
            self.calls.append(call)
            rule = next((rule for rule in self._rules if rule.befalls(call)), None)
        return _Taken(call, rule.fault if rule else forward)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class _Taken:
    call: Call
    fault: Fault


class _Handler(BaseHTTPRequestHandler):
    """One client connection, kept alive, with one of its own to the store."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _upstream: http.client.HTTPConnection | None = None

    def handle_any(self) -> None:
        proxy: FaultProxy = self.server.proxy  # type: ignore[attr-defined]
        body = self._body()
        if body is None:
            # The client died while sending: S3 drops such a PUT, so the store never sees it.
            self.close_connection = True
            return
        taken = proxy.take(self.command, self.path, dict(self.headers.items()), body)
        try:
            taken.fault(Exchange(taken.call, self))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionResetError, BrokenPipeError):
            # The client was killed.
            self.close_connection = True
        finally:
            if self._upstream:
                self._upstream.close()

    def _body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def ask(self, call: Call) -> Answer:
        proxy: FaultProxy = self.server.proxy  # type: ignore[attr-defined]
        # The Host header stays the client's, which is the one that it signed.
        headers = {k: v for k, v in call.headers.items() if k.lower() not in _OWN | {"expect"}}
        if call.method in {"PUT", "POST"} or call.body:
            headers["Content-Length"] = str(len(call.body))
        for last_try in (False, True):
            fresh = self._upstream is None
            if self._upstream is None:
                self._upstream = http.client.HTTPConnection(
                    proxy.upstream, timeout=UPSTREAM_SECONDS
                )
            try:
                self._upstream.request(call.method, call.target, call.body or None, headers)
                got = self._upstream.getresponse()
                read = got.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                # A kept connection that the store had closed; a new one must work.
                self._upstream.close()
                self._upstream = None
                if fresh or last_try:
                    raise
                continue
            length = {"Content-Length": got.headers["Content-Length"] or "0"}
            kept = {k: v for k, v in got.getheaders() if k.lower() not in _OWN}
            return Answer(got.status, kept | (length if call.method == "HEAD" else {}), read)
        raise AssertionError("unreachable")

    def answer(self, answer: Answer, bytes_per_second: float | None = None) -> None:
        self._head(answer)
        if self.command == "HEAD":
            return
        if bytes_per_second is None:
            self.wfile.write(answer.body)
            return
        step = max(1, int(bytes_per_second / 20))
        for start in range(0, len(answer.body), step):
            self.wfile.write(answer.body[start : start + step])
            time.sleep(0.05)

    def reset(self, begun: Answer | None) -> None:
        if begun is not None:
            self._head(begun)
            self.wfile.write(begun.body[: len(begun.body) // 2])
        self.close_connection = True
        # Closed under the server's hands, which would end it in order; so the client gets an RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _head(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in answer.headers):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
