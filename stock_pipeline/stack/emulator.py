"""The AWS emulator's server, with a filter before it: `python -m stock_pipeline.stack.emulator`.

MiniStack answers any web page that the user has open: its CORS allows every origin, and it resets
its state for whoever asks. A page that reaches it could read the lake, and let it run code. So
the filter and MiniStack run in one process on one port, and no way leads around the filter. It
checks who asks; what users and roles may do, MiniStack decides by their policies (AUTH=true).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

from stock_pipeline.stack.ports import LOOPBACK

#: What the pipeline uses: the lake, its catalogue, its queries, its roles, its secrets.
SERVICES = ("s3", "glue", "athena", "iam", "sts", "secretsmanager")
#: Asked by the supervisor, without a signature; it tells nothing but whether the start is over.
READY_PATH = "/_ministack/ready"
#: Connections wait so long for the next request.
KEEP_ALIVE_SECONDS = 75

#: MiniStack's only one.
ACCOUNT = "000000000000"
BODY_HASH = "x-amz-content-sha256"

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
#: With the service of the credential's scope: key/date/region/service/aws4_request.
_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,\s]+/\d{8}/[^/,\s]+/([a-z0-9-]+)/aws4_request, ?"
)
_QUERY_KEYS = frozenset(
    {"x-amz-credential", "x-amz-algorithm", "x-amz-signature", "awsaccesskeyid"}
)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def refusal(
    method: str, path: str, query: str, headers: Iterable[tuple[bytes, bytes]]
) -> str | None:
    """Why a request is refused, as a sentence; None where it may go on.

    Args:
        method: In capitals.
        path: Without the query, decoded.
        query: What follows the question mark.
        headers: As they came; names in any case.
    """
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    hosts, origins = given.get("host", []), given.get("origin", [])
    if len(hosts) != 1 or _host_name(hosts[0]) not in _LOOPBACK_NAMES:
        return (
            "The AWS emulator answers to 127.0.0.1, localhost and [::1] only, not to other names."
        )
    if any(origin != f"http://{hosts[0]}" for origin in origins):
        return "The AWS emulator answers no web page of another origin."
    # Images, scripts and links of a page send no Origin; browsers say this instead.
    if any(site not in {"none", "same-origin"} for site in given.get("sec-fetch-site", [])):
        return "The AWS emulator answers no web page of another site."
    if path == READY_PATH and method == "GET":
        return None
    if path.startswith("/_"):
        return "The emulator's own administration is switched off."
    service = _signed_for(given.get("authorization", []), query)
    if service is None:
        return (
            "The request is not signed: sign it with the keys of the home folder, "
            "see docs/security.md."
        )
    if service not in SERVICES:
        return f"The emulator serves {', '.join(SERVICES)}; the request is signed for another one."
    return None


@dataclass(frozen=True)
class Request:
    """What a signature signs.

    Attributes:
        method: In capitals.
        raw_path: As it was sent, before any decoding.
        query: What follows the question mark.
        headers: By name in small letters; values of the same name divided by commas.
        body: Only where no header has its hash.
    """

    method: str
    raw_path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Denial:
    """An answer in the form that the service's clients understand."""

    status: int
    headers: dict[str, str]
    body: bytes


def filtered(app: App, verify: Callable[[Request], Denial | None]) -> App:
    """An ASGI application that refuses what `refusal` or `verify` name, and passes on the rest.

    Args:
        app: Answers what is left.
        verify: Denies requests whose signature is wrong.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":
            # No part of the pipeline speaks WebSocket with AWS.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        method, query = scope["method"], scope.get("query_string", b"").decode("latin-1")
        path = scope["path"]
        denial: Denial | None = None
        if why := refusal(method, path, query, scope["headers"]):
            text = f"{why}\n".encode()
            denial = Denial(403, {"Content-Type": "text/plain; charset=utf-8"}, text)
        elif path != READY_PATH:
            headers = _joined(scope["headers"])
            body = b""
            if BODY_HASH not in headers:
                body, receive = await _read(receive)
            raw_path = (scope.get("raw_path") or quote(path).encode()).decode("latin-1")
            denial = verify(Request(method, raw_path.partition("?")[0], query, headers, body))
        if denial is None:
            await app(scope, receive, send)
        else:
            await _deny(send, denial, with_body=method != "HEAD")

    return answer


def verified(request: Request) -> Denial | None:
    """Why a request is not from one of the emulator's users, in the form of its service.

    MiniStack checks the signatures of users and roles that were made in it, and none of the keys
    that may do everything: ours, `test`, and every number of twelve digits. So all are checked
    here.
    """
    # Here, since the supervisor imports this file and needs none of them (0.05 s).
    from ministack.core.iam_actions import access_denied_response
    from ministack.core.iam_evaluator import CredentialResolutionError, resolve_credential
    from ministack.core.sigv4 import (
        header_signature_failure,
        parse_header_signature,
        request_time_failure,
    )

    def denial(service: str, code: str, message: str) -> Denial:
        status, headers, body = access_denied_response(
            service, "", "", str(uuid4()), error_code=code, message=message, headers=request.headers
        )
        return Denial(status, headers, body)

    signature = parse_header_signature(request.headers)
    if isinstance(signature, tuple):
        return denial("s3", *signature)
    token = request.headers.get("x-amz-security-token", "")
    found = resolve_credential(signature.access_key_id, ACCOUNT, token)
    if isinstance(found, CredentialResolutionError):
        # A key of a role without its token is as unknown as any other.
        unknown = found.code == "InvalidToken" and not token
        code = "UnrecognizedClientException" if unknown else found.code
        return denial(signature.service, code, found.message)
    failure = request_time_failure(signature) or header_signature_failure(
        signature,
        found.secret_access_key,
        request.method,
        request.raw_path,
        parse_qs(request.query, keep_blank_values=True),
        request.headers,
        request.body,
    )
    return denial(signature.service, *failure) if failure else None


def _host_name(host: str) -> str | None:
    try:
        found = urlsplit(f"//{host}")
        # One that is no number raises.
        port = found.port
    except ValueError:
        return None
    # A user or a path does not belong here.
    return None if port == 0 or found.netloc != host or "@" in host else found.hostname


def _signed_for(authorization: list[str], query: str) -> str | None:
    """The service that a signature names; whether it is right, `verified` says."""
    # Of a query that signs too, MiniStack might take the keys from there.
    if len(authorization) != 1 or not _QUERY_KEYS.isdisjoint(parse_qs(query.lower())):
        return None
    found = _SIGNATURE.match(authorization[0])
    return found[1] if found else None


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        joined[key] = f"{joined[key]},{text}" if key in joined else text
    return joined


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, and a `receive` that gives it once more."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            message = {"type": "http.request", "body": b"".join(parts), "more_body": False}
            break
    waiting = [message]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return b"".join(parts), again


async def _deny(send: Send, denial: Denial, *, with_body: bool) -> None:
    headers = [(k.lower().encode(), v.encode()) for k, v in denial.headers.items()]
    headers = [(k, v) for k, v in headers if k != b"content-length"]
    headers.append((b"content-length", str(len(denial.body)).encode()))
    # Clients set their clock by it.
    headers.append((b"date", formatdate(usegmt=True).encode()))
    await send({"type": "http.response.start", "status": denial.status, "headers": headers})
    await send({"type": "http.response.body", "body": denial.body if with_body else b""})


def main() -> None:
    """Serve until SIGTERM; MiniStack then saves its state. The environment says where."""
    # Here, since the supervisor imports this file and needs none of it (1.1 s).
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"{LOOPBACK}:{os.environ['GATEWAY_PORT']}"]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.loglevel = os.environ.get("LOG_LEVEL", "WARNING")
    guarded: Any = filtered(app, verified)
    asyncio.run(serve(guarded, config))


if __name__ == "__main__":
    main()
