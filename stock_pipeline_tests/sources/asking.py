"""Asking a source in a test, and reading its messages as the pipeline does."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stock_pipeline.errors import StoppedError
from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.kafka.messages import Message
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.sources.source import Notice, Source, SourceContext, SourceRequest
from stock_pipeline_tests.support.records import records

#: Pauses that a test does not feel.
FAST = {"pause_seconds": 0.01, "longest_pause_seconds": 0.02, "attempts": 3}


@dataclass
class Told:
    """What the user would have seen."""

    notices: list[Notice] = field(default_factory=list)

    def sentences(self, kind: str) -> list[str]:
        return [notice.sentence for notice in self.notices if notice.kind == kind]


def context(home: Path, told: Told | None = None, **settings: Any) -> SourceContext:
    """A source's context: fast, and the user's eyes."""
    told = told or Told()
    return SourceContext(
        SourceSettings(**{**FAST, **settings}), home, told.notices.append, threading.Event()
    )


def decoded(messages: Iterable[Message], format: str) -> list[dict[str, Any]]:  # noqa: A002
    """The rows that the messages become when they arrive; none may be rejected."""
    decoder = Decoder(format, "feed", "XNYS", [], 1 << 20)
    try:
        # The decoder refuses what happened more than a day after it arrived, and what tests ask for
        # is recorded (until 2026-11-21) or of now.
        arrived = max(datetime.now(UTC).replace(tzinfo=None), datetime(2026, 11, 22))
        found = decoder.decode(records([m.value for m in messages], arrived), 1)
    finally:
        decoder.close()
    assert found.rejects.to_pylist() == []
    rows: list[dict[str, Any]] = found.rows.to_pylist()
    return rows


def taken(
    source: Source, request: SourceRequest, count: int, stop: threading.Event, seconds: float = 60.0
) -> list[Message]:
    """The first messages of a stream, which is then stopped; fewer when the time is over."""
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    found = []
    try:
        for message in source.fetch(request):
            found.append(message)
            if len(found) == count:
                stop.set()
    except StoppedError:
        pass
    finally:
        timer.cancel()
    return found
