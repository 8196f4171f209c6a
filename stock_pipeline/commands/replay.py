"""`stock-pipeline replay`: a file, or real sample prices, as a feed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_pipeline.commands.feed import feed_settings
from stock_pipeline.commands.stopping import stop_on_signals
from stock_pipeline.errors import UsageError
from stock_pipeline.kafka.publisher import Publisher
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.settings import get_settings
from stock_pipeline.sources.files import csv_replay
from stock_pipeline.sources.files.csv_replay import ReplayError
from stock_pipeline.sources.files.sample_prices import sample_prices
from stock_pipeline.sources.market.malformed import with_malformed

if TYPE_CHECKING:
    from stock_pipeline.kafka.messages import Message

#: The word for the packaged prices, instead of a file.
SAMPLE = "sample"
CHUNK = 1000
SAMPLED_RATE = 10.0


def replay(
    file: Annotated[
        str, typer.Argument(help="CSV or JSON file; `sample` for packaged daily prices of AAPL.")
    ],
    feed: Annotated[str, typer.Option(help="Feed whose format the file has.")],
    rate: Annotated[float | None, typer.Option(min=0.001, help="Messages a second.")] = None,
    as_fast_as_possible: Annotated[
        bool, typer.Option("--as-fast-as-possible", help="The default, but for --sample.")
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Rows at random, with repetition, until stopped.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    malformed_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share that is damaged on purpose.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of what is random.")] = 7,
) -> None:
    """Send a file's rows, or packaged real prices, to a feed's topic."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    settings = get_settings()
    settings_of_feed = feed_settings(settings, feed)
    if rate is not None and as_fast_as_possible:
        raise UsageError("Give --rate or --as-fast-as-possible, not both.")
    if sample and rate is None and not as_fast_as_possible:
        rate = SAMPLED_RATE
    began = time.monotonic()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}/s"),
        console=Console(stderr=True),
    )
    messages, total = _messages(file, settings_of_feed.format, seed, sampled=sample)
    messages = islice(with_malformed(messages, malformed_share, seed), limit)
    # The first row tells whether the file can be used, before the brokers are asked.
    chunks = _chunks(messages)
    first = next(chunks, [])
    with (
        stop_on_signals() as stop,
        Publisher(settings.kafka, settings_of_feed.topic) as publisher,
        progress,
    ):
        total = limit if sample or (limit and total and limit < total) else total
        task = progress.add_task(f"{file} to {publisher.topic}", total=total, speed="-")
        for count in _paced(publisher, first, chunks, rate, stop):
            speed = f"{count / (time.monotonic() - began):,.0f}"
            progress.update(task, completed=count, speed=speed)
    seconds = time.monotonic() - began
    typer.echo(
        f"{publisher.delivered:,} messages delivered to topic {publisher.topic} in {seconds:.1f} s"
        f" ({publisher.delivered / seconds:,.0f}/s).",
        err=True,
    )


def _messages(
    file: str, message_format: str, seed: int, *, sampled: bool
) -> tuple[Iterable[Message], int | None]:
    """The messages and how many there are about, if that is known.

    Raises:
        ReplayError: The feed has another format.
    """
    path = Path(file)
    if file == SAMPLE and not path.exists():
        if message_format != "index_daily":
            raise csv_replay.ReplayError(
                f"The sample prices have the format index_daily, this feed {message_format};"
                " nothing was sent. Name a feed of format index_daily."
            )
        prices = list(sample_prices())
        return prices, len(prices)
    if sampled:
        return csv_replay.sampled_messages(path, message_format, seed), None
    header = 1 if FORMATS[message_format].csv_columns else 0
    total = max(0, csv_replay.count_lines(path) - header) if path.suffix != ".json" else 1
    return csv_replay.file_messages(path, message_format), total


def _chunks(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Also the rows before one that cannot be read, which then raises."""
    chunk: list[Message] = []
    broken: ReplayError | None = None
    remaining = iter(messages)
    while broken is None:
        chunk = []
        try:
            for message in islice(remaining, CHUNK):
                chunk.append(message)
        except ReplayError as error:
            broken = error
        if chunk:
            yield chunk
        elif broken is None:
            return
    raise broken


def _paced(
    publisher: Publisher,
    first: list[Message],
    chunks: Iterator[list[Message]],
    rate: float | None,
    stop: threading.Event,
) -> Iterator[int]:
    """Send chunk after chunk, at the rate if there is one; yields how many were sent so far."""
    sent, began, chunk = 0, time.monotonic(), first
    while chunk and not stop.is_set():
        if rate is None:
            sent += publisher.send(chunk)
            yield sent
        else:
            for message in chunk:
                ahead = sent / rate - (time.monotonic() - began)
                if ahead > 0 and stop.wait(ahead):
                    return
                sent += publisher.send([message])
                yield sent
        chunk = next(chunks, [])
