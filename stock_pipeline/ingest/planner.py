"""One tick of the planner: poll offsets, plan what waits, request runs of undecided batches again.

`ingest/offsets.py` decides; this polls, writes and keeps connections. The sensor calls it every few
seconds, commands call it when a person asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stock_pipeline.ingest.decode import DECODER_VERSION
from stock_pipeline.ingest.documents import OffsetRange, Plan
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.log_state import LogState
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.offsets import NoPlan, Triggers, lag, lost, plan_next
from stock_pipeline.kafka.control import KafkaControl, PolledTopics
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import Clock, naive_utc, system_clock
from stock_pipeline.settings import FeedSettings, Settings

logger = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 600.0

#: The machines' clocks differ by less. A time further ahead means that our clock was set back.
CLOCK_SKEW = timedelta(minutes=1)

#: Most plans that one tick makes for one feed, so that a tick ends also with a large backlog.
MOST_PLANS_A_TICK = 10


@dataclass(frozen=True)
class Attempt:
    """A run that was started for a batch, by Dagster's records."""

    number: int
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class BatchRequest:
    """A run to start: one attempt at one batch."""

    plan: Plan
    attempt: int


@dataclass
class FeedTick:
    """What a tick found and did for one feed.

    Attributes:
        sentence: What it planned, or why not.
        requests: Runs to start.
        offsets: Polled offsets, None when the topic is missing.
        waiting: Offsets that no plan covers, per partition.
        lost: Offsets that retention removed unread, per partition.
        problem: Why the feed has stopped until a person acts; "" when it has not.
    """

    feed: str
    sentence: str = ""
    requests: list[BatchRequest] = field(default_factory=list)
    offsets: TopicOffsets | None = None
    waiting: dict[int, int] = field(default_factory=dict)
    lost: dict[int, OffsetRange] = field(default_factory=dict)
    problem: str = ""
    state: LogState | None = None


@dataclass(frozen=True)
class NotYet:
    """Why an undecided batch is not attempted again now.

    Attributes:
        attempt: Number of its last attempt.
        seconds: Until the next one; None while the last one runs.
    """

    attempt: int
    seconds: float | None = None


def backoff_seconds(attempts: int) -> float:
    """Pause after this many failed attempts: 5 s, doubling up to 10 minutes."""
    return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(attempts - 1, 20)))


def next_attempt(
    attempts: Iterable[Attempt], deadline_seconds: float, now: datetime
) -> int | NotYet:
    """Number of the next attempt at an undecided batch, or why there is none yet.

    A run is taken to be alive until its deadline, because Dagster's default launcher cannot say
    whether it is. A run that outlives its deadline is harmless, since the bronze PUT decides. An
    attempt whose start lies in the future means that the clock was set back; its batch does not
    wait until that time comes.
    """
    last = max(attempts, key=lambda attempt: attempt.number, default=None)
    if last is None:
        return 1
    ended = last.ended_at
    if (ended or last.started_at) > now + CLOCK_SKEW:
        return last.number + 1
    if ended is None:
        ended = last.started_at + timedelta(seconds=deadline_seconds)
        if now < ended:
            return NotYet(last.number)
    due = ended + timedelta(seconds=backoff_seconds(last.number))
    if now < due:
        return NotYet(last.number, (due - now).total_seconds())
    return last.number + 1


def triggers_of(feed: FeedSettings) -> Triggers:
    """The feed's batch triggers."""
    return Triggers(
        min_records=feed.min_records,
        max_wait_seconds=feed.max_wait_seconds,
        max_records=feed.max_records,
        max_bytes=feed.max_bytes,
        max_batches_in_flight=feed.max_batches_in_flight,
    )


class Planner:
    """Plans batches; keeps connections, and what it has read of the logs, from tick to tick."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake | None = None,
        kafka: KafkaControl | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: Name the feeds.
            lake: Holds the offset logs; that of the settings when left out.
            kafka: Asks the brokers; those of the settings when left out.
            clock: Dates plans, and says which are late.
        """
        self.settings = settings
        self.lake = lake or Lake(settings.aws)
        self.kafka = kafka or KafkaControl(settings.kafka, clock)
        self.clock = clock
        self.logs = {name: OffsetLog(self.lake, name) for name in settings.feeds}

    def poll(self) -> PolledTopics:
        """Offsets of every feed's topic, by topic.

        Raises:
            KafkaUnavailableError: The brokers do not answer.
        """
        return self.kafka.topic_offsets([feed.topic for feed in self.settings.feeds.values()])

    def tick(
        self,
        name: str,
        offsets: TopicOffsets | None,
        attempts_of: Callable[[Plan], Iterable[Attempt]],
        *,
        force: bool = False,
    ) -> FeedTick:
        """Plan one feed, and request runs of its undecided batches again.

        Args:
            name: Name of the feed.
            offsets: Offsets of its topic from `poll`.
            attempts_of: Runs that were started for a plan.
            force: Plan what waits, whatever the triggers say.
        """
        feed, log = self.settings.feeds[name], self.logs[name]
        now = naive_utc(self.clock)
        tick = FeedTick(name, offsets=offsets)
        state = tick.state = log.state()
        sentences = self._ask_again(tick, log, state, feed, attempts_of, now)
        if offsets is None:
            tick.problem = (
                f"topic {feed.topic} does not exist; create it, or check the name in the settings "
                "(stock-pipeline doctor)"
            )
            tick.sentence = "; ".join([*sentences, tick.problem])
            return tick
        try:
            planned = self._plan(tick, log, state, feed, offsets, now, force)
        except TopicChangedError as error:
            # A rival may have planned beyond our poll before the log was read: poll once more.
            tick.offsets = offsets = self.poll()[feed.topic] or offsets
            try:
                planned = self._plan(tick, log, log.state(), feed, offsets, now, force)
            except TopicChangedError:
                tick.problem = planned = str(error)
        tick.lost = lost(state, offsets)
        tick.sentence = "; ".join([*sentences, planned])
        tick.waiting = lag(tick.state or state, offsets)
        log.write_checkpoint_if_due()
        return tick

    def _plan(
        self,
        tick: FeedTick,
        log: OffsetLog,
        state: LogState,
        feed: FeedSettings,
        offsets: TopicOffsets,
        now: datetime,
        force: bool,
    ) -> str:
        planned: list[Plan] = []
        while len(planned) < MOST_PLANS_A_TICK:
            plan = plan_next(
                state,
                offsets,
                triggers_of(feed),
                topic=feed.topic,
                decoder_version=DECODER_VERSION,
                now=now,
                force=force,
            )
            if isinstance(plan, NoPlan):
                if not planned:
                    return _why_no_plan(plan)
                break
            won = log.put_plan(plan)
            # The loser of a race has to read the rival's plan.
            state = tick.state = log.known_state() if won else log.state()
            if won:
                planned.append(plan)
                tick.requests.append(BatchRequest(plan, 1))
        records = sum(plan.length for plan in planned)
        first, last = planned[0].seq, planned[-1].seq
        numbers = f"batch {first}" if first == last else f"batches {first} to {last}"
        return f"planned {numbers} of {records:,} records"

    @staticmethod
    def _ask_again(
        tick: FeedTick,
        log: OffsetLog,
        state: LogState,
        feed: FeedSettings,
        attempts_of: Callable[[Plan], Iterable[Attempt]],
        now: datetime,
    ) -> list[str]:
        sentences = []
        for plan in state.pending:
            attempt = next_attempt(attempts_of(plan), feed.deadline_seconds, now)
            if isinstance(attempt, NotYet):
                sentences.append(f"batch {plan.seq}: {_why_not_yet(attempt)}")
            # Its run may have committed since the log was listed.
            elif log.commit_of(plan.seq) is None:
                tick.requests.append(BatchRequest(plan, attempt))
                sentences.append(f"batch {plan.seq}: attempt {attempt} requested")
        return sentences


def _why_no_plan(why: NoPlan) -> str:
    if why.in_flight is not None:
        return f"{why.waiting:,} records waiting, {why.in_flight} batches in flight"
    if why.seconds is not None:
        return f"{why.waiting:,} records waiting, next batch in {why.seconds:.0f} s"
    return "nothing waiting"


def _why_not_yet(why: NotYet) -> str:
    if why.seconds is None:
        return f"attempt {why.attempt} is running"
    return f"attempt {why.attempt} failed, the next in {why.seconds:.0f} s"
