"""What a source raises, and what each means for the symbols that are left."""

from __future__ import annotations

from datetime import datetime

from stock_pipeline.errors import StockPipelineError, TemporaryError, UsageError, UserError


class SourceError(StockPipelineError):
    """A source cannot give what was asked; one sentence, without secrets."""


class RefusedError(SourceError, UserError):
    """Asking again changes nothing, until a person mends it."""

    exit_code = 2


class RequestError(RefusedError, UsageError):
    """The request is none that this source knows; nobody was asked."""


class BadKeyError(RefusedError):
    """The key is missing, or the vendor does not know it."""


class PremiumError(RefusedError):
    """The vendor wants to be paid for this."""


class DailyLimitError(SourceError, TemporaryError):
    """No more requests today.

    Attributes:
        until: When the vendor's next day begins, aware.
    """

    def __init__(self, sentence: str, until: datetime) -> None:
        super().__init__(sentence)
        self.until = until


class UnavailableError(SourceError, TemporaryError):
    """The vendor gave no usable answer, as often as it was asked; later it may."""


class SymbolError(SourceError, UserError):
    """About one symbol only; the others go on."""


class BadSymbolError(SymbolError):
    """The vendor does not know the symbol, or not for this question."""


class EmptyError(SymbolError):
    """The vendor knows the symbol and has nothing for it."""


class RateLimitedError(SourceError, TemporaryError):
    """Asked too often in a short time; `HttpClient` waits and asks again.

    Attributes:
        seconds: How long to wait; None where the vendor does not say.
    """

    def __init__(self, sentence: str, seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.seconds = seconds
