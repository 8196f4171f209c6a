"""Fetches from a source round after round, and adds headers that say where a message is from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import DailyLimitError, UnavailableError
from stock_pipeline.sources.source import Notice, Source, SourceContext, SourceRequest

#: Schema version in the headers; grows when the meaning of messages changes.
SCHEMA_VERSION = b"1"


def fetched(source: Source, name: str, request: SourceRequest) -> Iterator[Message]:
    """One fetch, each message with headers that name the source, this fetch and the schema."""
    headers = (
        ("source", name.encode()),
        ("fetch_id", uuid4().hex.encode()),
        ("schema_version", SCHEMA_VERSION),
    )
    for message in source.fetch(request):
        yield message._replace(headers=(*message.headers, *headers))


def rounds(
    source: Source,
    name: str,
    request: SourceRequest,
    context: SourceContext,
    *,
    every: float,
    batches: int | None = None,
) -> Iterator[Message]:
    """Round after round. A round that fails for a while is reported; the next one tries again.

    Args:
        source: The source.
        name: Name of the source.
        request: The same for every round.
        context: For waits and notices.
        every: Seconds from the start of a round to that of the next.
        batches: Number of rounds; None for no end.

    Raises:
        SourceError: Nothing more can be fetched, or all rounds are over and one of them failed.
        StoppedError: The user has stopped the command.
    """
    done = failed = 0
    while True:
        began = time.monotonic()
        failure: UnavailableError | None = None
        day_over: DailyLimitError | None = None
        try:
            yield from fetched(source, name, request)
        except UnavailableError as error:
            failure = error
            failed += 1
            # The error of the last round is raised, not reported.
            if done + 1 != batches:
                context.notify(Notice("skipped", str(error)))
        except DailyLimitError as error:
            if batches is not None:
                raise
            day_over = error
        if day_over:
            left = day_over.until - datetime.now(UTC)
            context.wait(max(0.0, left.total_seconds()), str(day_over))
            continue
        done += 1
        if done == batches:
            break
        left_of_round = max(0.0, every - (time.monotonic() - began))
        context.wait(left_of_round, "The next round comes.", "pause")
    if failure:
        raise failure
    if failed:
        raise UnavailableError(
            f"In {failed} of {batches} rounds {name} could not be asked, see above; what the others"
            " fetched was sent."
        )
