"""What a code location keeps open between its ticks and runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from stock_pipeline.settings import Settings

Kept = TypeVar("Kept")

logger = logging.getLogger(__name__)


class Connections:
    """Clients, caches of the log and the complete settings, kept for the life of a code location.

    Dagster makes a resource anew for every tick: what is dear to open would be opened every five
    seconds. `build_definitions` makes one of these and all resources share it. It is closed when
    the process ends.

    Attributes:
        built_from: Settings of the graph; values of Secrets Manager may be missing.
    """

    def __init__(self, settings: Settings, complete: Callable[[], Settings] | None = None) -> None:
        """Keep nothing yet.

        Args:
            settings: What the graph is built from.
            complete: Loads the same settings with the values of Secrets Manager; the graph's own
                are complete without it.
        """
        self.built_from = settings
        self._complete = complete
        self._settings: Settings | None = None
        self._kept: dict[Hashable, Any] = {}
        # Sensors tick in several threads of the code server.
        self._lock = threading.RLock()

    def settings(self) -> Settings:
        """The settings with their secrets; Secrets Manager is asked once, at the first call.

        Raises:
            SettingsError: The secret is missing, may not be read, or does not fit.
        """
        with self._lock:
            if self._settings is None:
                self._settings = self._complete() if self._complete else self.built_from
            return self._settings

    def keep(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What was made under this key before, else make it now.

        Args:
            key: Its name, with the settings that it was made from.
            make: Makes it; what raises is not kept and asked for again.
        """
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            return cast("Kept", self._kept[key])

    def close(self) -> None:
        """Close what was kept and can be closed; the next use opens it again."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        for one in kept:
            if close := getattr(one, "close", None):
                try:
                    close()
                except Exception:
                    # The process ends: a connection that is broken already changes nothing.
                    logger.debug("closing %s failed", type(one).__name__, exc_info=True)
