"""What `produce` does while it runs: a thread fetches, this one sends and shows."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from stock_pipeline.commands.stopping import stop_on_signals
from stock_pipeline.kafka.publisher import CLOSING_SECONDS, Publisher
from stock_pipeline.settings import Settings
from stock_pipeline.sources.fetching import Fetching
from stock_pipeline.sources.registry import open_source, source_settings
from stock_pipeline.sources.rounds import fetched, rounds
from stock_pipeline.sources.source import SourceContext

if TYPE_CHECKING:
    from rich.console import Console

    from stock_pipeline.sources.jobs import Job
    from stock_pipeline.sources.source import Notice

#: Between two lines where no terminal shows a live one.
LOG_SECONDS = 300.0


class Line:
    """What the user sees: sentences as they come, and a live line below."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._logged = self._began
        self._waiting: Notice | None = None
        self.skipped = 0

    def notice(self, notice: Notice) -> None:
        """Called by the thread that fetches."""
        self._waiting = notice if notice.until else None
        self.skipped += notice.kind == "skipped"
        if notice.kind != "pause":
            self.say(notice.sentence)

    def text(self, sent: int, delivered: int) -> str:
        """Sent, acknowledged, rate, and what is waited for."""
        rate = sent / max(time.monotonic() - self._began, 1e-3)
        text = f"{sent:,} sent, {delivered:,} acknowledged, {rate:,.1f}/s"
        waiting = self._waiting
        if waiting and waiting.until:
            left = (waiting.until - datetime.now(UTC)).total_seconds()
            if left > 0:
                text += f"; waiting {left:,.0f} s: {waiting.sentence}"
        return text

    def log(self, sent: int, delivered: int) -> None:
        """A line now and then, where nobody sees the live one."""
        if not sys.stderr.isatty() and time.monotonic() - self._logged > LOG_SECONDS:
            self.say(self.text(sent, delivered))
            self._logged = time.monotonic()

    def say(self, sentence: str) -> None:
        """A line that stays; nothing in it is markup."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def run(settings: Settings, job: Job) -> int:
    """Fetch and send until all is done or the user stops it; the exit code."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    line = Line(console)
    sent = 0
    publisher: Publisher | None = None
    try:
        with stop_on_signals() as stop:
            source = open_source(settings, job.source, notify=line.notice, stop=stop)
            if job.stream:
                messages = fetched(source, job.source, job.request)
            else:
                context = SourceContext(
                    source_settings(settings, job.source), settings.home, line.notice, stop
                )
                messages = rounds(
                    source, job.source, job.request, context, every=job.every, batches=job.batches
                )
            with (
                Publisher(settings.kafka, job.topic) as publisher,
                Fetching(messages) as fetching,
                console.status("") as live,
            ):
                pace = "as they come" if job.stream else f"every {job.every:g} s"
                line.say(f"Sends {job.request.what} of {job.source} to topic {job.topic}, {pace}.")
                while not fetching.over:
                    sent += publisher.send(fetching.take())
                    live.update(escape(line.text(sent, publisher.delivered)))
                    line.log(sent, publisher.delivered)
                # Brokers that are away come back; but who stops it does not want to wait for them.
                publisher.flush(*([CLOSING_SECONDS] if stop.is_set() else []))
            if fetching.failure:
                raise fetching.failure
    finally:
        if publisher:
            typer.echo(
                f"{publisher.delivered:,} messages of {job.source} delivered to topic {job.topic}"
                f"{f'; {line.skipped:,} skipped, see above' if line.skipped else ''}.",
                err=True,
            )
    return 1 if line.skipped and not sent else 0
