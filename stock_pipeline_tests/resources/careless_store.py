"""A real HTTP proxy in front of the emulator that is careless about conditional requests."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


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
    upstream = urlsplit(endpoint_url).netloc
    looked: Counter[str] = Counter()
    turn = threading.Condition()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            body = self._body()
            headers = dict(self.headers.items())
            headers.pop("Transfer-Encoding", None)
            if drops and self.command == drops[0]:
                headers = {k: v for k, v in headers.items() if k.lower() != drops[1].lower()}
            if checks_then_writes and headers.pop("If-None-Match", None):
                if self._ask("HEAD", headers, b"")[0] == 200:
                    self._answer(412, {}, b"")
                    return
                with turn:
                    looked[self.path] += 1
                    turn.notify_all()
                    turn.wait_for(lambda: looked[self.path] > 1, timeout=1)
            self._answer(*self._ask(self.command, headers, body))

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _ask(
            self, method: str, headers: dict[str, str], body: bytes
        ) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(upstream, timeout=10)
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
            if method == "HEAD":
                headers = {k: v for k, v in headers.items() if not k.startswith("x-amz-content")}
            connection.request(method, self.path, body or None, headers)
            answer = connection.getresponse()
            read = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), read

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + clock_offset_seconds, usegmt=True))
            for name, value in headers.items():
                if name.lower() not in {"date", "content-length", "transfer-encoding"}:
                    self.send_header(name, value)
            length = headers.get("content-length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
