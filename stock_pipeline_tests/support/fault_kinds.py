"""What can go wrong with a request: faults for the rules of a `FaultProxy`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stock_pipeline_tests.faults.calls import Call
from stock_pipeline_tests.support.proxy import UPSTREAM_SECONDS, Answer, Exchange, Fault


def answer(status: int, code: str, message: str = "injected by a test") -> Fault:
    """An error as S3 (XML) or Glue and Athena (JSON) word it; the store never sees the request."""

    def fault(exchange: Exchange) -> None:
        if exchange.call.service == "s3":
            text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            kind = "application/xml"
        else:
            text, kind = f'{{"__type": "{code}", "message": "{message}"}}', "application/json"
        exchange.reply(Answer(status, {"Content-Type": kind}, text.encode()))

    return fault


def cut_before(exchange: Exchange) -> None:
    """The connection breaks before the store has the request, as in the middle of a PUT."""
    exchange.cut()


def cut_after(exchange: Exchange) -> None:
    """The store did it, and the client hears nothing but a broken connection."""
    exchange.forward()
    exchange.cut()


def cut_within(exchange: Exchange) -> None:
    """The connection breaks in the middle of the answer's body, as in the middle of a GET."""
    exchange.cut(exchange.forward())


def hang(until: threading.Event, *, store_does_it: bool) -> Fault:
    """No answer until the event; the client gives up by its own timeout."""

    def fault(exchange: Exchange) -> None:
        if store_does_it:
            exchange.forward()
        until.wait(UPSTREAM_SECONDS)
        exchange.cut()

    return fault


def slow(seconds: float = 0.0, bytes_per_second: float | None = None) -> Fault:
    """A late answer, and a thin line."""

    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.reply(exchange.forward(), bytes_per_second)

    return fault


def hook(
    before: Callable[[Call], None] | None = None, after: Callable[[Call], None] | None = None
) -> Fault:
    """Call something before the store has the request, or after it and before its answer."""

    def fault(exchange: Exchange) -> None:
        if before:
            before(exchange.call)
        said = exchange.forward()
        if after:
            after(exchange.call)
        exchange.reply(said)

    return fault


#: Faults that a client rides out by itself when they do not last.
PASSING: dict[str, Fault] = {
    "500": answer(500, "InternalError"),
    "503": answer(503, "SlowDown"),
    "cut before": cut_before,
    "cut after": cut_after,
    "cut within": cut_within,
    "slow": slow(0.3, bytes_per_second=200_000),
}
