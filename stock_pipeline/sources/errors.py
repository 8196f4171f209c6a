"""The errors of sources, and what each means for the symbols that are left."""

from __future__ import annotations

from datetime import datetime

from stock_pipeline.errors import StockPipelineError, TemporaryError, UsageError, UserError


class SourceError(StockPipelineError):
    """A source cannot give what was asked for; one sentence, without secrets."""


class RefusedError(SourceError, UserError):
    """Asking again changes nothing, until a person mends it."""

    exit_code = 2


class RequestError(RefusedError, UsageError):
    """The source does not know such a request; the vendor was not asked."""


class BadKeyError(RefusedError):
    """The key is missing, or the vendor does not know it."""


class PremiumError(RefusedError):
    """The vendor gives this only to paying users."""


class DailyLimitError(SourceError, TemporaryError):
    """No more requests today.

    Attributes:
        until: When the vendor's next day begins, aware.
    """

    def __init__(self, sentence: str, until: datetime) -> None:
        super().__init__(sentence)
        self.until = until


class UnavailableError(SourceError, TemporaryError):
    """The vendor gave no usable answer to any try; a later one may succeed."""


class SymbolError(SourceError, UserError):
    """Concerns one symbol only; the others are still fetched."""


class BadSymbolError(SymbolError):
    """The vendor does not know the symbol, or does not have this kind of data for it."""


class EmptyError(SymbolError):
    """The vendor knows the symbol and has nothing for it."""


class RateLimitedError(SourceError, TemporaryError):
    """Too many requests in a short time; `HttpClient` waits and asks again.

    Attributes:
        seconds: How long to wait; None where the vendor does not say.
    """

    def __init__(self, sentence: str, seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.seconds = seconds
