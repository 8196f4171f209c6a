"""HTTP requests to a vendor: within its quotas, with retries, and without showing the key."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, ProtocolError, ReadTimeoutError
from urllib3.util import Retry

from stock_pipeline.errors import StoppedError, TemporaryError
from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.sources.errors import BadKeyError, RateLimitedError, UnavailableError
from stock_pipeline.sources.quotas import Quotas
from stock_pipeline.sources.redaction import hide_in_logs, redacted
from stock_pipeline.sources.source import SourceContext

#: Far more than any vendor's document; a larger answer would only fill the memory.
MOST_BYTES = 64 * 1024 * 1024
MOST_SHOWN = 300
#: Longest wait; a vendor that asks for a longer one is asked again after this.
LONGEST_WAIT_SECONDS = 6 * 3600.0
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry", "requests")


class Answer(NamedTuple):
    """A complete JSON answer.

    Attributes:
        status: HTTP status, below 500 and not 429.
        body: The bytes as received.
        data: The decoded JSON.
    """

    status: int
    body: bytes
    data: Any


#: Raises a `SourceError` unless the answer is the data that was asked for.
Judge = Callable[[Answer], None]


class _TransientError(TemporaryError):
    """No usable answer; another try may get one."""


class VendorDayOverError(TemporaryError):
    """A `Judge` raises it when the vendor says that its daily limit is reached."""


class HttpClient:
    """Asks one vendor.

    Args:
        context: Settings, folder of the quotas, waits.
        vendor: Name for sentences.
        zone: Time zone of the vendor's day, for its daily quota.
        headers: Sent with every request, such as a key.
    """

    def __init__(
        self,
        context: SourceContext,
        vendor: str,
        zone: tzinfo = UTC,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._context, self._settings, self.vendor = context, context.settings, vendor
        self.quotas = Quotas(context.home, vendor, context.settings, zone)
        key = context.settings.api_key
        self._secrets = [key.get_secret_value()] if key else []
        for secret in self._secrets:
            hide_in_logs(secret, *_LOGGERS)
        self._session = requests.Session()
        self._session.headers.update({"Accept": "application/json", **(headers or {})})

    def redacted(self, text: str) -> str:
        """The vendor's text as one short line without the key."""
        return one_line(redacted(text, self._secrets))[:MOST_SHOWN]

    def get(self, url: str, params: Mapping[str, str], judge: Judge) -> Answer:
        """Ask until there is an answer that the judge accepts.

        Raises:
            SourceError: What the judge raised; a `DailyLimitError`; or an `UnavailableError` when
                all tries failed.
            StoppedError: The user has stopped the command.
        """
        settings, problem = self._settings, ""
        for tried in range(1, settings.attempts + 1):
            self._take_quota()
            asked_to_wait: float | None = None
            over = False
            try:
                return self._ask(url, params, judge)
            except RateLimitedError as error:
                problem, asked_to_wait = str(error), error.seconds
            except _TransientError as error:
                problem = str(error)
            except VendorDayOverError:
                over = True
            if over:
                raise self.quotas.stop_today()
            if tried < settings.attempts:
                doubled = settings.pause_seconds * 2 ** (tried - 1)
                # Jitter: processes that failed at the same time must not retry at the same time.
                pause = min(doubled, settings.longest_pause_seconds) * random.uniform(1, 1.25)  # noqa: S311
                self._context.wait(
                    pause if asked_to_wait is None else asked_to_wait,
                    f"{self.vendor} {problem}: try {tried + 1} of {settings.attempts} follows.",
                )
        raise UnavailableError(
            f"{self.vendor} {problem}, at the last of {settings.attempts} tries; nothing of this"
            " request was sent. It can be made again later."
        )

    def _take_quota(self) -> None:
        while seconds := self.quotas.take():
            self._context.wait(
                seconds, f"{self.vendor} may be asked again, by its quotas.", "pause"
            )
        if self._context.stop.is_set():
            raise StoppedError

    def _ask(self, url: str, params: Mapping[str, str], judge: Judge) -> Answer:
        problem = ""
        try:
            with self._session.get(
                url,
                params=dict(params),
                stream=True,
                # A redirect could carry the key to another host.
                allow_redirects=False,
                timeout=(
                    self._settings.connect_timeout_seconds,
                    self._settings.answer_timeout_seconds,
                ),
            ) as response:
                body = self._body(response)
        except (requests.RequestException, HTTPError) as error:
            problem = self._problem(error)
        if problem:  # Raised outside of `except`: requests' exception holds the URL with the key.
            raise _TransientError(problem)
        status = response.status_code
        if status == 429:
            raise RateLimitedError("answered 429, too many requests", _retry_after(response))
        if status >= 500:
            raise _TransientError(f"answered {status} {self.redacted(response.reason or '')}")
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if data is not None:
            judge(Answer(status, body, data))
        if status in {401, 403}:
            raise BadKeyError(
                f"{self.vendor} answered {status}: it does not accept the key, or not for this."
            )
        if status != 200:
            raise UnavailableError(
                f"{self.vendor} answered {status} {self.redacted(response.reason or '')}; nothing"
                " of this request was sent."
            )
        if data is None:
            raise _TransientError(f"answered with {len(body):,} bytes that are not JSON")
        return Answer(status, body, data)

    def _body(self, response: requests.Response) -> bytes:
        """Read the whole body within the timeout, even if it arrives byte by byte."""
        deadline = time.monotonic() + self._settings.answer_timeout_seconds
        body = bytearray()
        # Not iter_content: it waits until a chunk is full, however long that takes.
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            body += chunk
            if self._context.stop.is_set():
                raise StoppedError
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
            if len(body) > MOST_BYTES:
                raise UnavailableError(
                    f"{self.vendor} answered with more than {MOST_BYTES:,} bytes; nothing of this"
                    " request was sent."
                )
        return bytes(body)

    def _problem(self, error: requests.RequestException | HTTPError) -> str:
        """What happened, without the exception's text, which holds the URL."""
        settings = self._settings
        if isinstance(error, requests.ConnectTimeout):
            return f"took no connection within {settings.connect_timeout_seconds:g} s"
        if isinstance(error, requests.ReadTimeout | ReadTimeoutError):
            return f"gave no whole answer within {settings.answer_timeout_seconds:g} s"
        if isinstance(error, requests.exceptions.SSLError):
            return "shows a certificate that is not trusted"
        if isinstance(error, requests.exceptions.ProxyError):
            return "cannot be reached through the proxy"
        if isinstance(error, requests.ConnectionError) and not _aborted(error):
            return "cannot be reached"
        if isinstance(error, requests.ConnectionError | HTTPError):
            return "cut the connection before its answer was whole"
        return f"could not be asked ({type(error).__name__})"


def _aborted(error: requests.ConnectionError) -> bool:
    """Whether a connection was made and then broke."""
    return bool(error.args) and isinstance(error.args[0], ProtocolError)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds to wait from Retry-After, which is a number or a date."""
    value = response.headers.get("Retry-After")
    if not value:
        return None
    try:
        return min(max(0.0, Retry().parse_retry_after(value.strip())), LONGEST_WAIT_SECONDS)
    except (InvalidHeader, OverflowError, ValueError):
        return None
