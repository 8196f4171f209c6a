"""The family of our errors: who can do something about what went wrong.

Every error class of the package derives from one of these, and its text is one paragraph for a
person, without secrets. They are caught in one place for the command line (`cli.py`) and in one for
Dagster (`defs/shared/failures.py`). Between them a function catches a class only where it goes on.
"""

from __future__ import annotations

from typing import ClassVar


class StockPipelineError(Exception):
    """Something that we foresaw.

    Attributes:
        exit_code: What a command that it ends exits with.
    """

    exit_code: ClassVar[int] = 1


class UserError(StockPipelineError):
    """A person has to mend it: settings, rights, a file, a key, a decision that is theirs."""


class UsageError(UserError):
    """What was asked for does not exist, or contradicts itself; nothing was done."""

    exit_code = 2


class TemporaryError(StockPipelineError):
    """It passes by itself, or with what is outside of us: ask again later."""


class InternalError(StockPipelineError):
    """What we rely on does not hold: a bug of ours, or a lake that somebody else changed."""


class StoppedError(StockPipelineError):
    """The user wants an end; raised out of a wait. No failure."""
