"""A wrapper of yfinance whose every answer is either prices or an error with a sentence.

It undoes two habits of yfinance: errors that become empty frames, and answers kept in memory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import pandas as pd
import yfinance
from curl_cffi.requests import RequestsError, Response, Session
from yfinance.data import YfData
from yfinance.exceptions import (
    YFDataException,
    YFPricesMissingError,
    YFRateLimitError,
    YFTzMissingError,
)

from stock_pipeline.sources.errors import BadSymbolError, EmptyError, UnavailableError
from stock_pipeline.sources.quotas import Quotas
from stock_pipeline.sources.source import SourceContext

T = TypeVar("T")


class Prices(NamedTuple):
    """An answer of Yahoo.

    Attributes:
        frame: One row for each bar, indexed by its start in the exchange's time zone; at least one.
        meta: Further information, such as the currency and the last trade.
    """

    frame: pd.DataFrame
    meta: Mapping[str, Any]


class YahooClient:
    """Asks Yahoo within the quotas, and again after errors that pass."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self.quotas = Quotas(context.home, "Yahoo", context.settings, UTC)
        self._session = _YahooSession(context, self.quotas)
        yfinance.config.debug.hide_exceptions = False
        # yfinance's own log is silenced: errors are reported here, in a sentence.
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)
        yfinance.set_tz_cache_location(str(context.home / "yfinance"))

    def prices(
        self, symbol: str, interval: str, window: Mapping[str, Any], *, prepost: bool = False
    ) -> Prices:
        """Prices adjusted for splits only, with the splits and dividends.

        Args:
            symbol: As Yahoo spells it.
            interval: As Yahoo names it.
            window: `period`, or `start` and `end`.
            prepost: Whether trading before and after hours is wanted too.

        Raises:
            SourceError: Yahoo gives none; `SymbolError` if this concerns one symbol only.
            StoppedError: The user has stopped the command during a wait.
        """
        ticker = yfinance.Ticker(symbol, session=self._session)

        def ask() -> pd.DataFrame:
            frame: pd.DataFrame = ticker.history(
                interval=interval,
                prepost=prepost,
                auto_adjust=False,
                actions=True,
                timeout=self._context.settings.answer_timeout_seconds,
                **window,
            )
            return frame

        try:
            frame = self._patiently(symbol, ask)
        except YFPricesMissingError as error:
            said = error.yahoo_reason or "no prices"
            if "delisted" in said.lower():
                raise BadSymbolError(f"Yahoo does not know {symbol} ({said}).") from None
            raise EmptyError(f"Yahoo has nothing for {symbol} ({said}).") from None
        except YFTzMissingError:
            raise BadSymbolError(f"Yahoo does not know {symbol}; it may be delisted.") from None
        if frame.empty:
            raise EmptyError(f"Yahoo has no bars of {interval} for {symbol} in this time.")
        return Prices(frame, ticker.history_metadata)

    def _patiently(self, symbol: str, ask: Callable[[], T]) -> T:
        settings = self._context.settings
        pause, reason = settings.pause_seconds, ""
        for attempt in range(1, settings.attempts + 1):
            # yfinance caches answers, even those that report an error.
            YfData.cache_get.cache_clear()
            try:
                return ask()
            except YFRateLimitError:
                reason = "takes no more questions for now (429)"
            except YFDataException:
                reason = "says that it is down"
            except RequestsError as error:
                reason = f"gave no whole answer ({type(error).__name__}: {_first_words(error)})"
            except ValueError:
                reason = "answered something that is not JSON"
            except (KeyError, TypeError, IndexError) as error:
                if self._session.window_was_empty():
                    raise EmptyError(f"Yahoo has nothing for {symbol} in this time.") from None
                reason = f"answered in a form that yfinance does not read ({error!r})"
            if attempt < settings.attempts:
                again = f"{symbol} is asked for again ({attempt + 1} of {settings.attempts})"
                self._context.wait(pause, f"Yahoo {reason}; {again}.")
                pause = min(2 * pause, settings.longest_pause_seconds)
        raise UnavailableError(
            f"Yahoo {reason}, asked {settings.attempts} times for {symbol}. Later it may answer;"
            " fewer symbols or a longer --interval keep it friendly."
        )


class _YahooSession(Session[Response]):
    """The HTTP session of yfinance: keeps the quotas, and goes to the URL of the settings."""

    def __init__(self, context: SourceContext, quotas: Quotas) -> None:
        super().__init__(impersonate="chrome")
        self._context, self._quotas = context, quotas
        self._chart: Response | None = None

    def request(self, method: Any, url: str, *args: Any, **kwargs: Any) -> Response:
        while seconds := self._quotas.take():
            self._context.wait(seconds, "Yahoo may be asked again, by its quotas.")
        if base_url := self._context.settings.base_url:
            url = base_url.rstrip("/") + urlsplit(url).path
        response = super().request(method, url, *args, **kwargs)
        if url.endswith("/getcrumb") and b"Too Many Requests" in response.content:
            # Otherwise yfinance would use this text as the crumb of all later requests.
            raise YFRateLimitError
        if "/v8/finance/chart/" in url:
            self._chart = response
            # yfinance takes the answer of a failing server for that of an unknown symbol.
            if response.status_code >= 500:
                raise RequestsError(f"HTTP {response.status_code}")
        return response

    def window_was_empty(self) -> bool:
        """Whether the last answer had no prices, which yfinance does not report."""
        if self._chart is None:
            return False
        results = json.loads(self._chart.content)["chart"]["result"]
        return bool(results) and not results[0].get("timestamp")


def _first_words(error: Exception) -> str:
    return str(error).split(". See ")[0][:160]
