"""History of one symbol: fetched by REST, decoded like live messages of the same source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock
from stock_pipeline.lib.formats.arrow import BARS, QUARANTINE, RECORDS
from stock_pipeline.settings import Settings
from stock_pipeline.sources.errors import BadSymbolError, RequestError
from stock_pipeline.sources.registry import open_source, source_kind
from stock_pipeline.sources.source import Notice, SourceRequest

#: Far more than any vendor's document.
MOST_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    """What a vendor sent for one symbol.

    Attributes:
        bars: BARS, decoded.
        rejects: QUARANTINE: what it sent that cannot be read as a bar.
        notices: What else it said, such as that there are no bars.
    """

    bars: pa.Table
    rejects: pa.Table
    notices: tuple[Notice, ...]

    @classmethod
    def nothing(cls, why: str) -> Fetched:
        """An empty result; the vendor was not asked."""
        notices = (Notice("info", why),)
        return cls(BARS.empty_table(), QUARANTINE.empty_table(), notices)


class History:
    """Fetches history from one source, one symbol at a time.

    Args:
        settings: Name the source, its key and its quotas.
        name: Of the source.
        calendar: Exchange calendar of symbols that no rule matches.
        rules: (symbol pattern, calendar) in order of precedence.
        options: Options that only this source has.
        notify: Called with what the user should see at once, such as waits.
        clock: Dates what came; a bar of its future is impossible.

    Raises:
        RequestError: The source has no bars.
        BadKeyError: It needs a key, and none is set.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        calendar: str,
        rules: Sequence[tuple[str, str]],
        options: dict[str, str],
        notify: Callable[[Notice], None],
        clock: Clock = system_clock,
    ) -> None:
        self._clock = clock
        self._kind = source_kind(name)
        message_format = self._kind.formats.get("bars")
        if message_format is None:
            raise RequestError(
                f"Source {name} has no bars to fetch in batches; nothing was fetched."
            )
        self._options, self._notify = options, notify
        self._notices: list[Notice] = []
        self._source = open_source(settings, name, notify=self._hear, stop=threading.Event())
        self._decoder = Decoder(message_format, name, calendar, rules, MOST_MESSAGE_BYTES)

    def fetch(self, symbol: str, interval: str, start: datetime, end: datetime) -> Fetched:
        """The bars that begin in `[start, end)`, and those that the vendor gives with them.

        Args:
            symbol: As the vendor spells it.
            interval: Length of a bar.
            start: Aware.
            end: Aware; bars of the future do not come.

        Raises:
            BadSymbolError: The vendor does not know it.
            SourceError: Nothing more can be fetched now; earlier symbols are complete.
        """
        self._notices = []
        until = end if "end" in self._kind.taken("bars", interval) else None
        request = SourceRequest((symbol,), "bars", interval, start, until, self._options)
        messages = list(self._source.fetch(request))
        unknown = next((n for n in self._notices if isinstance(n.error, BadSymbolError)), None)
        if unknown and not messages:
            raise BadSymbolError(unknown.sentence)
        now = naive_utc(self._clock)
        records = pa.table(
            [
                pa.repeat(pa.scalar(0, pa.int32()), len(messages)),
                pa.array(range(len(messages)), pa.int64()),
                pa.repeat(pa.scalar(now, RECORDS.field("kafka_timestamp").type), len(messages)),
                pa.array([m.key for m in messages], pa.binary()),
                pa.array([m.value for m in messages], pa.binary()),
            ],
            schema=RECORDS,
        )
        decoded = self._decoder.decode(records, 1)
        return Fetched(decoded.rows, decoded.rejects, tuple(self._notices))

    def close(self) -> None:
        """Release the decoder."""
        self._decoder.close()

    def _hear(self, notice: Notice) -> None:
        self._notices.append(notice)
        self._notify(notice)
