"""Alpha Vantage: bars, quotes and news as the vendor's own documents.

Failures arrive with status 200, so a document is sent on only when it holds data, and then
unchanged. The JSON key of a failure varies; only its text tells failures apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources.errors import (
    BadKeyError,
    BadSymbolError,
    EmptyError,
    PremiumError,
    RateLimitedError,
    RequestError,
    UnavailableError,
)
from stock_pipeline.sources.http_client import Answer, HttpClient, VendorDayOverError
from stock_pipeline.sources.source import SourceContext, SourceKind, SourceRequest, each_symbol

VENDOR = "Alpha Vantage"
#: The documentation does not say when the vendor's day begins; its data are in New York time.
ZONE = ZoneInfo("America/New_York")
INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min"}
_FLAGS = ("true", "false")
#: Options of each function and their allowed values; None allows any text.
OPTIONS: dict[str, dict[str, tuple[str, ...] | None]] = {
    "TIME_SERIES_INTRADAY": {
        "adjusted": _FLAGS,
        "extended_hours": _FLAGS,
        "month": None,
        "outputsize": ("compact", "full"),
        "entitlement": ("realtime", "delayed"),
    },
    "TIME_SERIES_DAILY": {
        "adjusted": _FLAGS,
        "outputsize": ("compact", "full"),
        "entitlement": ("realtime", "delayed"),
    },
    "GLOBAL_QUOTE": {"entitlement": ("realtime", "delayed")},
    "NEWS_SENTIMENT": {
        "topics": None,
        "sort": ("LATEST", "EARLIEST", "RELEVANCE"),
        "limit": None,
    },
}
#: The compact output has 100 bars. A daily request that begins earlier needs the full one.
_COMPACT_DAYS = 140
_MINUTE_SECONDS = 60.0


class AlphaVantage:
    """Asks the vendor, one request at a time, within the quotas of the key."""

    def __init__(self, context: SourceContext) -> None:
        self._context, self._settings = context, context.settings
        self._http = HttpClient(context, VENDOR, ZONE)
        self.quotas = self._http.quotas

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """One document for each symbol; of intraday history, one for each symbol and month."""
        SOURCE.ensure_takes(VENDOR, request)
        questions = [*_questions(request)]

        def documents(symbol: str) -> Iterator[Message]:
            for question in questions:
                yield Message(symbol.encode(), self._ask(symbol, question).body)

        return each_symbol(request, self._context, documents)

    def check(self) -> str:
        """Ask for one quote, which counts as one of the day's requests."""
        self._ask("IBM", {"function": "GLOBAL_QUOTE"})
        return "the key works; asking took one of the day's requests"

    def _ask(self, symbol: str, question: Mapping[str, str]) -> Answer:
        key = self._settings.api_key
        named = "tickers" if question["function"] == "NEWS_SENTIMENT" else "symbol"
        params = {**question, named: symbol, "apikey": key.get_secret_value() if key else ""}
        judge = partial(_judge, symbol, question["function"], self._http.redacted)
        return self._http.get(f"{self._settings.base_url}/query", params, judge)


def _questions(request: SourceRequest) -> Iterator[dict[str, str]]:
    """The parameters of each document of a symbol, except symbol and key.

    Raises:
        RequestError: The vendor does not know the value of an option, or the length of the bars.
    """
    if request.what == "bars" and request.interval != "1d":
        yield from _intraday(request)
    elif request.what == "bars":
        options = _options(request, "TIME_SERIES_DAILY")
        if request.start and datetime.now(UTC) - request.start > timedelta(days=_COMPACT_DAYS):
            options.setdefault("outputsize", "full")
        adjusted = options.pop("adjusted", "false") == "true"
        yield {"function": f"TIME_SERIES_DAILY{'_ADJUSTED' if adjusted else ''}", **options}
    elif request.what == "quote":
        yield {"function": "GLOBAL_QUOTE", **_options(request, "GLOBAL_QUOTE")}
    else:
        bounds = {"time_from": request.start, "time_to": request.end}
        times = {
            name: at.astimezone(UTC).strftime("%Y%m%dT%H%M") for name, at in bounds.items() if at
        }
        yield {"function": "NEWS_SENTIMENT", **times, **_options(request, "NEWS_SENTIMENT")}


def _intraday(request: SourceRequest) -> Iterator[dict[str, str]]:
    """The latest bars, or whole months of history."""
    interval = INTERVALS.get(request.interval or "5m")
    if interval is None:
        raise RequestError(
            f"{VENDOR} has no bars of {request.interval}; it has {', '.join(INTERVALS)} and 1d."
        )
    question = {"function": "TIME_SERIES_INTRADAY", "interval": interval}
    options = _options(request, "TIME_SERIES_INTRADAY")
    if request.start is None:
        yield question | options
        return
    if "month" in options:
        raise RequestError(f"{VENDOR}: give the option month, or a start, not both.")
    last = (request.end or datetime.now(UTC)) - timedelta(microseconds=1)
    month, last = request.start.astimezone(ZONE), last.astimezone(ZONE)
    while (month.year, month.month) <= (last.year, last.month):
        yield question | {"outputsize": "full"} | options | {"month": f"{month:%Y-%m}"}
        month = (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def _options(request: SourceRequest, function: str) -> dict[str, str]:
    for name, value in request.options.items():
        allowed = OPTIONS[function][name]
        if allowed is not None and value not in allowed:
            raise RequestError(f"{VENDOR}: option {name} is one of {', '.join(allowed)}.")
    return dict(request.options)


def _judge(symbol: str, function: str, shown: Callable[[str], str], answer: Answer) -> None:
    """Raise the error that the document describes; return if it holds data."""
    data = answer.data if isinstance(answer.data, dict) else {}
    found = _data_of(data, function)
    if found:
        return
    name = shown(symbol)
    told = [data.get(key) for key in ("Information", "Note", "Error Message")]
    said = " ".join(text for text in told if isinstance(text, str))
    if said:
        raise _failure(said, name, function, is_error="Error Message" in data, shown=shown)
    if found is not None or answer.data == {}:
        raise EmptyError(f"{VENDOR} has nothing for {name} ({function}); nothing was sent for it.")
    if answer.status == 200:
        raise UnavailableError(
            f"{VENDOR} answered {function} of {name} with a document of an unknown shape; nothing"
            " was sent for it. Has the vendor changed its format?"
        )


def _data_of(data: Mapping[str, Any], function: str) -> Any:
    """The part of the document that was asked for; None where it is missing."""
    prefix = {"GLOBAL_QUOTE": "Global Quote", "NEWS_SENTIMENT": "feed"}.get(function, "Time Series")
    return next((value for key, value in data.items() if key.startswith(prefix)), None)


def _failure(
    text: str, symbol: str, function: str, *, is_error: bool, shown: Callable[[str], str]
) -> Exception:
    """The error that a text stands for.

    The order matters: the text on requests a second also names the daily limit, and all texts
    advertise premium plans.
    """
    said = text.lower()

    def holds(*words: str) -> bool:
        return any(word in said for word in words)

    if holds("1 request per second", "spreading out", "burst pattern"):
        return RateLimitedError("was asked more than once a second")
    if holds("calls per minute", "requests per minute"):
        return RateLimitedError("was asked too often in a minute", _MINUTE_SECONDS)
    if holds("requests per day", "calls per day"):
        return VendorDayOverError()
    if holds("premium endpoint", "premium feature"):
        return PremiumError(
            f"{VENDOR} gives {function} of {symbol} as asked to paying customers only; nothing was"
            " sent. Ask for less (outputsize compact, no entitlement), or buy a plan."
        )
    if holds("apikey", "api key"):
        return BadKeyError(
            f"{VENDOR} does not know the key; nothing was sent. Correct"
            " STOCK_PIPELINE__SOURCES__ALPHA_VANTAGE__API_KEY in .env."
        )
    if is_error or holds("invalid inputs"):
        return BadSymbolError(
            f"{VENDOR} does not know {symbol}, or not for {function}; nothing was sent for it."
        )
    return UnavailableError(f"{VENDOR} sent no data for {symbol} but said: {shown(text)}")


SOURCE = SourceKind(
    summary="bars, quotes and news with sentiment by REST, as the vendor's JSON documents",
    open=AlphaVantage,
    formats={"bars": "alpha_vantage_intraday", "quote": None, "news": "alpha_vantage_news"},
    takes={
        "bars": ("bar", "start", "end", *OPTIONS["TIME_SERIES_INTRADAY"]),
        # The document always reaches to the latest day.
        "bars of 1d": ("bar", "start", *OPTIONS["TIME_SERIES_DAILY"]),
        "quote": (*OPTIONS["GLOBAL_QUOTE"],),
        "news": ("start", "end", *OPTIONS["NEWS_SENTIMENT"]),
    },
    # Limits of a free key; a paid one has no daily limit.
    defaults=SourceSettings(
        base_url="https://www.alphavantage.co", requests_per_second=1, requests_per_day=25
    ),
    needs_key=True,
)
