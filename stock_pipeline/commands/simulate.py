"""`stock-pipeline simulate`: a market that never closes, for feeds of trades."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from stock_pipeline.commands.stopping import stop_on_signals
from stock_pipeline.errors import UsageError
from stock_pipeline.kafka.publisher import Publisher
from stock_pipeline.settings import get_settings
from stock_pipeline.sources.market.simulator import Market, Simulator, stretches

if TYPE_CHECKING:
    from rich.console import Console

#: Simulated seconds that are made and sent at once: of the past, and of the present.
HISTORY_STRETCH = 60.0
LIVE_STRETCH = 0.2
#: Of a longer pause (a suspended machine) only the last of it is made up for.
LONGEST_PAUSE = timedelta(minutes=1)
#: Between two lines where no terminal shows a live one.
LOG_SECONDS = 300.0

Share = typer.Option(min=0.0, max=1.0, show_default="from the settings")


def simulate(
    feed: Annotated[
        str | None, typer.Option(help="Feed of format trade.", show_default="from the settings")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=50_000, help="Messages a second.", show_default="from the settings"
        ),
    ] = None,
    symbols: Annotated[
        str | None,
        typer.Option(help="Symbols, with commas.", show_default="from the settings"),
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default="from the settings", min=0)] = None,
    history_hours: Annotated[
        float, typer.Option(min=0.0, help="First send what happened in these last hours.")
    ] = 0.0,
    history_rate: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Messages a second of history.", show_default="from the settings"
        ),
    ] = None,
    malformed_share: Annotated[float | None, Share] = None,
    late_share: Annotated[float | None, Share] = None,
    out_of_order_share: Annotated[float | None, Share] = None,
    duplicate_share: Annotated[float | None, Share] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds to run; until stopped by default.")
    ] = None,
) -> None:
    """Send simulated trades: the hours just past if asked, then live until stopped.

    Prices go on where they were after a restart; history that was sent once is not sent again
    unless asked.
    """
    from rich.console import Console

    settings = get_settings()
    defaults = settings.simulator
    feed = feed or defaults.feed
    if feed not in settings.feeds or settings.feeds[feed].format != "trade":
        trades = [name for name, f in settings.feeds.items() if f.format == "trade"]
        raise UsageError(f"{feed!r} is no feed of format trade; such feeds: {', '.join(trades)}")
    names = tuple(s for s in (symbols or "").split(",") if s) or defaults.symbols

    def share(given: float | None, default: float) -> float:
        return default if given is None else given

    market = Market(
        symbols=names,
        records_per_second=rate or defaults.records_per_second,
        seed=defaults.seed if seed is None else seed,
        malformed_share=share(malformed_share, defaults.malformed_share),
        late_share=share(late_share, defaults.late_share),
        out_of_order_share=share(out_of_order_share, defaults.out_of_order_share),
        duplicate_share=share(duplicate_share, defaults.duplicate_share),
    )
    console = Console(stderr=True)
    with (
        stop_on_signals() as stop,
        Publisher(settings.kafka, settings.feeds[feed].topic) as publisher,
    ):
        now = datetime.now(UTC)
        thinner = history_rate or defaults.history_records_per_second
        past = Simulator(replace(market, records_per_second=thinner))
        _send_history(past, publisher, now - timedelta(hours=history_hours), now, stop, console)
        _send_live(Simulator(market), publisher, now, duration, stop, console)
    typer.echo(f"{publisher.delivered:,} messages delivered to topic {publisher.topic}.", err=True)


def _send_history(
    simulator: Simulator,
    publisher: Publisher,
    start: datetime,
    end: datetime,
    stop: threading.Event,
    console: Console,
) -> None:

    if start >= end:
        return
    sent, began = 0, time.monotonic()
    with console.status("History"):
        for first, last in stretches(start, end, HISTORY_STRETCH):
            if stop.is_set():
                return
            sent += publisher.send(simulator.between(first, last))
        sent += publisher.send(simulator.rest())
        publisher.flush()
    console.print(f"History sent: {sent:,} messages in {time.monotonic() - began:.1f} s.")


def _send_live(
    simulator: Simulator,
    publisher: Publisher,
    start: datetime,
    duration: float | None,
    stop: threading.Event,
    console: Console,
) -> None:
    """Send what happens from `start` on; the duration counts from now."""
    rate = simulator.market.records_per_second
    console.print(
        f"Live: {rate:g} messages/s of {len(simulator.market.symbols)} symbols to topic"
        f" {publisher.topic}."
    )
    began = time.monotonic()
    sent, logged = 0, began
    with console.status("") as line:
        while not stop.wait(LIVE_STRETCH):
            now = datetime.now(UTC)
            start = max(start, now - LONGEST_PAUSE)
            if now > start:
                sent += publisher.send(simulator.between(start, now))
                start = now
            passed = time.monotonic() - began
            text = (
                f"{sent:,} sent, {sent / passed:,.0f}/s, {publisher.delivered:,} delivered in all"
            )
            if sys.stderr.isatty():
                line.update(text)
            elif time.monotonic() - logged > LOG_SECONDS:
                console.print(text)
                logged = time.monotonic()
            if duration is not None and passed >= duration:
                return
