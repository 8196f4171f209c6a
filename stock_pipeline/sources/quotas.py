"""How often a vendor was asked, counted over all processes of this machine and over restarts.

The counts are in an SQLite file of ours. Ready-made limiters count rolling windows, not the
vendor's calendar day, and do not know when the vendor has announced that the limit is reached.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, tzinfo
from hashlib import blake2s
from pathlib import Path

from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources.errors import DailyLimitError, UnavailableError

_TABLES = """
CREATE TABLE IF NOT EXISTS requests (account TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS requests_of_account ON requests (account, at);
CREATE TABLE IF NOT EXISTS stopped (account TEXT PRIMARY KEY, until REAL NOT NULL);
"""
_KEPT_SECONDS = 2 * 86_400.0


class Quotas:
    """The quotas of one key at one vendor; each key has its own.

    Args:
        home: Folder of `quotas.sqlite`.
        vendor: Name for sentences.
        settings: The quotas, and the key.
        zone: Time zone of the vendor's day.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        home: Path,
        vendor: str,
        settings: SourceSettings,
        zone: tzinfo,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = home / "quotas.sqlite"
        self._vendor, self._settings, self._zone, self._clock = vendor, settings, zone, clock
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        # Four bytes of a digest tell a user's keys apart and reveal nothing of them.
        self._account = f"{vendor}:{blake2s(key.encode(), digest_size=4).hexdigest()}"

    def take(self) -> float:
        """Count one request if it may be made now.

        Returns:
            0 when it may be made and was counted; else the seconds until it may be made.

        Raises:
            DailyLimitError: No more today.
            UnavailableError: The file of the quotas cannot be used.
        """
        settings = self._settings
        with self._transaction() as db:
            now = self._clock()  # Only here: another process may have locked the file.
            self._left(db, now)
            seconds = max(
                self._until_free(db, now, 1.0, settings.requests_per_second),
                self._until_free(db, now, 60.0, settings.requests_per_minute),
            )
            if not seconds:
                db.execute("INSERT INTO requests VALUES (?, ?)", (self._account, now))
                db.execute("DELETE FROM requests WHERE at < ?", (now - _KEPT_SECONDS,))
        return seconds

    def left_today(self) -> int | None:
        """Requests that may still be made today; None where the settings name no limit.

        Raises:
            DailyLimitError: There are none left.
            UnavailableError: The file of the quotas cannot be used.
        """
        with self._transaction() as db:
            return self._left(db, self._clock())

    def stop_today(self) -> DailyLimitError:
        """Note that the vendor takes no more today; returns the error that says so."""
        _, until = self._day(self._clock())
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO stopped VALUES (?, ?)", (self._account, until.timestamp())
            )
        return self._daily_limit(until)

    def _left(self, db: sqlite3.Connection, now: float) -> int | None:
        """Requests left of the day, see `left_today`."""
        stop = db.execute(
            "SELECT until FROM stopped WHERE account = ? AND until > ?", (self._account, now)
        ).fetchone()
        if stop:
            raise self._daily_limit(datetime.fromtimestamp(stop[0], self._zone))
        most, (today, tomorrow) = self._settings.requests_per_day, self._day(now)
        if not most:
            return None
        left = most - len(self._since(db, today.timestamp()))
        if left <= 0:
            raise self._daily_limit(tomorrow)
        return left

    def _day(self, now: float) -> tuple[datetime, datetime]:
        """Start of the vendor's day, and of the next one."""
        today = datetime.fromtimestamp(now, self._zone).replace(
            hour=0, minute=0, second=0, microsecond=0, fold=0
        )
        return today, today + timedelta(days=1)  # By the wall clock: 23 to 25 hours.

    def _daily_limit(self, until: datetime) -> DailyLimitError:
        return DailyLimitError(
            f"{self._vendor} takes no more requests of this key today; the next may be made from"
            f" {until:%Y-%m-%d %H:%M %Z} on.",
            until,
        )

    def _since(self, db: sqlite3.Connection, start: float) -> list[float]:
        found = db.execute(
            "SELECT at FROM requests WHERE account = ? AND at >= ? ORDER BY at",
            (self._account, start),
        )
        return [at for (at,) in found]

    def _until_free(
        self, db: sqlite3.Connection, now: float, window: float, most: int | None
    ) -> float:
        if most is None:
            return 0.0
        # After a clock was set back, entries of the future must not lock us out.
        times = [at for at in self._since(db, now - window) if now - window < at <= now]
        return times[-most] + window - now if len(times) >= most else 0.0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        problem = ""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=30, isolation_level=None)) as db:
                db.executescript(_TABLES)
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            problem = str(error)
        if problem:
            raise UnavailableError(
                f"The quotas of {self._vendor} in {self._file} cannot be read or written"
                f" ({problem}); nothing was fetched. If the file is damaged, delete it: what was"
                " asked today is then forgotten."
            )
