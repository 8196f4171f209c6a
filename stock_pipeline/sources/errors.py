"""What a source raises, and what each means for the symbols that are left."""

from __future__ import annotations

from datetime import datetime


class SourceError(Exception):
    """A source cannot give what was asked; one sentence, without secrets."""


class UsageError(SourceError):
    """The request is none that this source knows; nobody was asked."""


class BadKeyError(SourceError):
    """The key is missing, or the vendor does not know it."""


class PremiumError(SourceError):
    """The vendor wants to be paid for this; asking again changes nothing."""


#: Asking again changes nothing.
REFUSALS = (UsageError, BadKeyError, PremiumError)


class DailyLimitError(SourceError):
    """No more requests today.

    Attributes:
        until: When the vendor's next day begins, aware.
    """

    def __init__(self, sentence: str, until: datetime) -> None:
        super().__init__(sentence)
        self.until = until


class UnavailableError(SourceError):
    """The vendor gave no usable answer, as often as it was asked; later it may."""


class SymbolError(SourceError):
    """About one symbol only; the others go on."""


class BadSymbolError(SymbolError):
    """The vendor does not know the symbol, or not for this question."""


class EmptyError(SymbolError):
    """The vendor knows the symbol and has nothing for it."""


class RateLimitedError(SourceError):
    """Asked too often in a short time; `HttpClient` waits and asks again.

    Attributes:
        seconds: How long to wait; None where the vendor does not say.
    """

    def __init__(self, sentence: str, seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.seconds = seconds


class StoppedError(Exception):
    """The user wants an end; raised out of a wait. No failure."""
