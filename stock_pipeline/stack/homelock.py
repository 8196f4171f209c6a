"""One `dev` a home folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from stock_pipeline.errors import UserError


class HomeInUseError(UserError):
    """Another process works in this home folder."""


class HomeLock:
    """Held while `dev` runs; the system releases it when the process ends, however it ends.

    Attributes:
        was_abandoned: The one before us was killed; what it started may still be stopping.
    """

    def __init__(self, home: Path) -> None:
        """Take the lock.

        Args:
            home: Folder, made if missing.

        Raises:
            HomeInUseError: Someone else holds it.
        """
        home.mkdir(parents=True, exist_ok=True)
        path = home / "dev.lock"
        self._file = path.open("a+", encoding="ascii")
        self._file.seek(0)
        former = self._file.read().strip()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise HomeInUseError(
                f"`stock-pipeline dev` already runs in {home} (pid {former}); nothing was started. "
                "Stop that one, or use another folder and other ports: set STOCK_PIPELINE_HOME "
                "and STOCK_PIPELINE__PORTS__KAFKA, __AWS and __DAGSTER."
            ) from None
        self.was_abandoned = bool(former)
        self._write(str(os.getpid()))

    def release(self) -> None:
        """Give the lock back, orderly."""
        self._write("")
        self._file.close()

    def _write(self, text: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
