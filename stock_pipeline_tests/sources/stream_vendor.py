"""A vendor's WebSocket server on loopback: each connection goes as the test says."""

from __future__ import annotations

import http
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

Play = Callable[["Line"], None]


class Line:
    """One connection, seen from the vendor.

    Attributes:
        said: Documents that the client sent.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.said: list[Any] = []

    def hear(self, times: int = 1) -> None:
        """Wait for so many documents of the client."""
        for _ in range(times):
            self.said.append(json.loads(self._connection.recv(timeout=60)))

    def send(self, *documents: Any) -> None:
        """Send documents, text and bytes as they are."""
        for document in documents:
            raw = isinstance(document, str | bytes)
            self._connection.send(document if raw else json.dumps(document))

    def cut(self, document: Any) -> None:
        """End the connection in the middle of this document's frame."""
        payload = json.dumps(document).encode()
        frame = b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
        self._connection.socket.sendall(frame[: len(frame) // 2])
        self._connection.socket.shutdown(socket.SHUT_RDWR)

    def wait_for_end(self) -> None:
        """Stay until the client hangs up."""
        for message in self._connection:
            self.said.append(json.loads(message))


class StreamVendor:
    """Where it listens, and the connections so far."""

    def __init__(self, plays: list[Play | int]) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.lines: list[Line] = []
        self._plays = plays
        self._of: dict[ServerConnection, Play] = {}
        self._lock = threading.Lock()

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Give the connection the next play: an HTTP status where that is a number.

        Here, not in `handle`, which a client that hangs up at once and connects again may overtake.
        """
        with self._lock:
            self.requests.append(request)
            play = self._plays.pop(0)
            if not isinstance(play, int):
                self._of[connection] = play
                return None
            status = http.HTTPStatus(play)
        return Response(status.value, status.phrase, Headers({"Content-Length": "0"}), b"")

    def handle(self, connection: ServerConnection) -> None:
        """Play what the connection was given."""
        line = Line(connection)
        with self._lock:
            self.lines.append(line)
            play = self._of.pop(connection)
        play(line)


@contextmanager
def stream_vendor(*plays: Play | int) -> Iterator[StreamVendor]:
    """Serve: each connection takes the next play, or is refused with the HTTP status.

    The last connection's play should wait for its end.
    """
    vendor = StreamVendor(list(plays))
    # A deflated frame could not be cut by hand.
    server = serve(
        vendor.handle,
        "127.0.0.1",
        0,
        process_request=vendor.process_request,
        compression=None,
        close_timeout=1,
    )
    vendor.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
