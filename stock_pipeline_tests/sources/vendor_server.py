"""A vendor on loopback: answers by a script, and misbehaves as real ones do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        body: Bytes, or what becomes JSON.
        status: Of HTTP.
        headers: Besides the length.
        cut_at: Close the connection after so many bytes of the body; 0 sends not even a status.
        drip: Seconds between the bytes of the body.
        chunked: Send no length but chunks; cut, their end is missing.
        hang: Say nothing (or, with `cut_at`, nothing more) until the server stops.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    drip: float = 0.0
    chunked: bool = False
    hang: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


class VendorServer:
    """Gives the replies of the script first, then what `answer` says.

    Attributes:
        url: http://127.0.0.1:port
        script: Replies, taken from the front.
        answer: Makes the reply once the script is over.
        asked: All requests so far.
    """

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.script: list[Reply] = []
        self.answer = answer
        self.asked: list[Asked] = []
        self._over = threading.Event()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
                vendor.asked.append(asked)
                reply = vendor.script.pop(0) if vendor.script else vendor.answer(asked)
                vendor._send(self, reply)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.hang and reply.cut_at is None:
            self._over.wait(60)
        if reply.cut_at != 0 and not (reply.hang and reply.cut_at is None):
            handler.send_response(reply.status)
            length = ("Transfer-Encoding", "chunked") if reply.chunked else None
            for name, value in (
                *reply.headers.items(),
                length or ("Content-Length", str(len(body))),
            ):
                handler.send_header(name, value)
            handler.end_headers()
            self._send_body(handler, body[: reply.cut_at], reply)
            if reply.hang:
                self._over.wait(60)
        if reply.cut_at is not None or reply.hang:
            handler.close_connection = True

    def _send_body(self, handler: BaseHTTPRequestHandler, body: bytes, reply: Reply) -> None:
        if reply.chunked:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
            handler.wfile.write(b"" if reply.cut_at else b"0\r\n\r\n")
        elif reply.drip:
            for n in range(len(body)):
                if self._over.wait(reply.drip):
                    return
                try:
                    handler.wfile.write(body[n : n + 1])
                except OSError:  # The client has had enough.
                    handler.close_connection = True
                    return
        else:
            handler.wfile.write(body)
        handler.wfile.flush()

    def stop(self) -> None:
        """Close the port; who waits for a hanging reply gets an end."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def vendor(answer: Callable[[Asked], Reply]) -> Iterator[VendorServer]:
    """A running vendor."""
    server = VendorServer(answer)
    try:
        yield server
    finally:
        server.stop()
