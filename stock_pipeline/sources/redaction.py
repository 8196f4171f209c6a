"""Removes keys from sentences and logs, also where a library or the vendor repeats them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, also where they are encoded as in a URL."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(written, HIDDEN)
    return text


class _Redaction(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage(), self.secrets), None
        return True


_redaction = _Redaction()


def hide_in_logs(secret: str, *loggers: str) -> None:
    """Redact the secret in all that these loggers write from now on in this process.

    Args:
        secret: What to hide; when empty, nothing is done.
        loggers: Full names, since a filter does not apply to child loggers.
    """
    if secret:
        _redaction.secrets.add(secret)
    for name in loggers:
        logging.getLogger(name).addFilter(_redaction)
