"""One round of a configured poll: fetch, send to the feed's topic, report what happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from pathlib import Path

from stock_pipeline.errors import StoppedError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.kafka.publisher import Publisher
from stock_pipeline.settings import Settings
from stock_pipeline.sources.errors import (
    DailyLimitError,
    RequestError,
    SourceError,
    UnavailableError,
)
from stock_pipeline.sources.jobs import Job, job_for
from stock_pipeline.sources.registry import open_source
from stock_pipeline.sources.rounds import fetched
from stock_pipeline.sources.source import Notice, SourceRequest

#: A round that would have to wait longer than this ends; the next one asks again.
LONGEST_WAIT = timedelta(minutes=10)


@dataclass
class Round:
    """The result of a round.

    Attributes:
        topic: Topic that the messages went to.
        sent: Number of messages sent.
        acknowledged: How many of them the brokers have acknowledged.
        unchanged: Messages that the round before had sent already, and that this one left out.
        notices: Notices of the source, without planned pauses.
        left_today: Requests that the vendor still takes today; None without a limit.
        failure: Why it ended early; what was sent before that is kept.
    """

    topic: str
    sent: int = 0
    acknowledged: int = 0
    unchanged: int = 0
    notices: list[Notice] = field(default_factory=list)
    left_today: int | None = None
    failure: SourceError | None = None

    def sentences(self, kind: str) -> list[str]:
        """The sentences of one kind of notice, without repetition."""
        return list(dict.fromkeys(n.sentence for n in self.notices if n.kind == kind))


def poll_job(settings: Settings, name: str) -> Job:
    """The job of the poll with this name.

    Raises:
        RequestError: Its settings do not fit together.
    """
    poll = settings.polls[name]
    request = SourceRequest(poll.symbols, interval=poll.bar, options=poll.options)
    job = job_for(settings, poll.source, request, feed=poll.feed, what=poll.what)
    if job.stream or job.request.options.get("stream") == "true":
        raise RequestError(
            f"polls.{name}: {job.request.what} of {poll.source} come in a stream, of which no round"
            f" is ever over; nothing was asked. Move it to streams.{name}."
        )
    return job


def refusal(settings: Settings, name: str) -> str | None:
    """Why the poll cannot be run now (settings, missing key, the day's quota); None if it can."""
    poll = settings.polls[name]
    try:
        poll_job(settings, name)
        source = open_source(settings, poll.source, notify=lambda _: None, stop=threading.Event())
        if source.quotas:
            source.quotas.left_today()
    except SourceError as error:
        return str(error)
    return None


def run_round(
    settings: Settings, name: str, notify: Callable[[Notice], None], *, everything: bool = False
) -> Round:
    """Fetch once and send what the round before has not sent.

    Args:
        settings: Settings with the poll.
        name: Name of the poll.
        notify: Called with what the user should see.
        everything: Send also what the round before has sent.

    Raises:
        RequestError: The poll's settings do not fit together.
        BadKeyError: The key is missing.
        PublishError: The brokers did not take it all; the next round sends it again.
    """
    job, stop = poll_job(settings, name), threading.Event()
    done = Round(job.topic)

    def told(notice: Notice) -> None:
        done.notices += [notice] if notice.kind != "pause" else []
        notify(notice)
        if notice.until and notice.until - datetime.now(UTC) > LONGEST_WAIT:
            stop.set()

    source = open_source(settings, job.source, notify=told, stop=stop)
    memory = _Memory(settings.home / "polls" / f"{name}.json")
    known = {} if everything else memory.read()
    seen: dict[str, list[str]] = {}

    def new() -> Iterator[Message]:
        for message in fetched(source, job.source, job.request):
            symbol, digest = message.key.hex(), _digest(message)
            seen.setdefault(symbol, []).append(digest)
            if digest in known.get(symbol, ()):
                done.unchanged += 1
            else:
                done.sent += 1
                yield message

    with Publisher(settings.kafka, job.topic) as publisher:
        try:
            publisher.send(new())
        except StoppedError:
            long = done.notices[-1]
            done.failure = UnavailableError(
                f"{long.sentence} That is more than {LONGEST_WAIT.seconds // 60} minutes from now:"
                " this round is given up, the next one asks again."
            )
        except SourceError as error:
            done.failure = error
        publisher.flush()
        done.acknowledged = publisher.delivered
    memory.write(memory.read() | seen)
    try:
        done.left_today = source.quotas.left_today() if source.quotas else None
    except DailyLimitError:
        done.left_today = 0
    return done


def _digest(message: Message) -> str:
    return blake2s(message.value or b"", digest_size=12).hexdigest()


class _Memory:
    """The messages of each symbol's last round. If it is lost, they are sent once more."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, list[str]]:
        try:
            found: dict[str, list[str]] = json.loads(self._file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def write(self, seen: dict[str, list[str]]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(seen), encoding="utf-8")
        new.replace(self._file)
