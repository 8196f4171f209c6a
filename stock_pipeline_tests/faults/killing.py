"""Jobs that are killed or paused exactly before or after one of their requests."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stock_pipeline.ingest.planner import Planner
from stock_pipeline.settings import Settings
from stock_pipeline.stack.provision import ensure_workgroup
from stock_pipeline_tests.faults.calls import Call
from stock_pipeline_tests.faults.jobs import STAGES, Ended, Job
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.support.proxy import Exchange, Fault, FaultProxy
from stock_pipeline_tests.support.stack import SettingsFor

FEEDS = {
    "trades": {
        "format": "trade",
        "source": "trades",
        "calendar": "24/7",
        "partitions": 2,
        "min_records": 1,
        "max_records": 500,
        "max_batches_in_flight": 4,
    }
}
FIRST_DAY_MS = 1_767_225_600_000  # 2026-01-01
DAY_MS = 86_400_000


def settings_of(
    settings_for: SettingsFor, changes: Mapping[str, Any] | None = None, **sections: Any
) -> Settings:
    """Settings of the feed, with these changes, whose catalogue needs no crawler."""
    feeds = {"trades": FEEDS["trades"] | dict(changes or {})}
    settings = settings_for(feeds, catalog={"method": "partitions"}, **sections)
    ensure_workgroup(settings)
    return settings


def trade(number: int, day: int, **changes: Any) -> bytes:
    """A trade of one of two symbols; sums of its values are exact in any order."""
    return json.dumps(
        {
            "symbol": f"SIM-{'AB'[number % 2]}",
            "time": FIRST_DAY_MS + day * DAY_MS + number % 1440 * 60_000,
            "price": 100 + number % 64 / 4,
            "size": 1 + number % 3,
            "trade_id": f"{day}-{number}",
        }
        | changes
    ).encode()


def payloads(day: int, first: int = 0, count: int = 6) -> Iterator[bytes | None]:
    """Trades of a day, one that comes twice, one late for the day before, two rejects."""
    yield from (trade(first + n, day) for n in range(count))
    yield trade(first, day)
    yield trade(first + 1000, max(0, day - 1))
    yield b"{"
    yield trade(first, day, price=-1)


def through(settings: Settings, proxy: FaultProxy) -> Settings:
    """The same settings with the AWS emulator behind a proxy."""
    return settings.model_copy(
        update={"aws": settings.aws.model_copy(update={"endpoint_url": proxy.url})}
    )


@dataclass(frozen=True)
class Point:
    """Between two steps of a stage: before a request, or after it and before its answer."""

    stage: str
    step: str
    after: bool = False

    @classmethod
    def before(cls, stage: str, call: Call) -> Point:
        """Just before it; the catalogue asks for all tables at once, one step for each kind."""
        alike = stage == "catalogue" and not call.writes
        return cls(stage, call.operation if alike else call.step)

    def is_at(self, call: Call) -> bool:
        """Whether this is the request."""
        return self.step in {call.step, call.operation}

    def __str__(self) -> str:
        return f"{self.stage}: {'after' if self.after else 'before'} {self.step}"


def points_at(stage: str, call: Call) -> set[Point]:
    """Before the request, and after it where it writes."""
    before = Point.before(stage, call)
    return {before, replace(before, after=True)} if call.writes else {before}


def run(
    stage: str,
    settings: Settings,
    folder: Path,
    proxy: FaultProxy,
    kill: Callable[[Call], bool] = lambda call: False,
    *,
    after: bool = False,
    others: Mapping[Fault, Callable[[Call], bool]] | None = None,
) -> Ended:
    """Run a stage behind the proxy; it dies before or after the first call that `kill` names.

    Args:
        others: Further faults and the calls that they befall; with any, the stage may fail.

    Raises:
        AssertionError: It failed instead.
    """
    pid: Future[int] = Future()

    def fault(exchange: Exchange) -> None:
        if after:
            exchange.forward()
        os.kill(pid.result(30), signal.SIGKILL)
        TALLY.kills += 1
        exchange.cut()

    proxy.reset()
    proxy.add(fault, kill, times=1)
    rules = [proxy.add(other, befalls) for other, befalls in (others or {}).items()]
    job = Job(stage, through(settings, proxy), folder)
    pid.set_result(job.pid)
    ended = job.wait()
    TALLY.faults += sum(rule.hits for rule in rules)
    assert others or not ended.error, ended.trace
    return ended


def run_all(settings: Settings, folder: Path, proxy: FaultProxy) -> None:
    """Every stage without a fault until nothing is waiting."""
    while run("plan", settings, folder, proxy).result or _undecided(settings):
        run("ingest", settings, folder, proxy)
    for stage in STAGES[2:]:
        run(stage, settings, folder, proxy)


def _undecided(settings: Settings) -> bool:
    return any(log.state().pending for log in Planner(settings).logs.values())


class RandomKills:
    """Stages one after the other, most of them killed at a request of theirs, by chance.

    Attributes:
        errors: What stages said that failed, and how often; only with `faults`.
    """

    #: Share of the stages that run to their end.
    SPARED = 0.2
    #: Share of the requests that each of the other faults befalls.
    FAULTS = 0.005

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        proxy: FaultProxy,
        chance: random.Random,
        faults: Iterable[Fault] = (),
    ) -> None:
        self.settings, self.folder, self.proxy, self.chance = settings, folder, proxy, chance
        self.errors: Counter[str] = Counter()
        self._faults = dict.fromkeys(faults, lambda call: chance.random() < self.FAULTS)
        #: Requests that a stage made when it was spared.
        self.length = dict.fromkeys(STAGES, 20)

    def round(self) -> int:
        """Every stage once; kills."""
        kills = 0
        for stage in STAGES:
            done, killed = self._once(stage)
            kills += killed
            if stage == "catalogue" and not done:
                # Athena does not see the new partitions: nothing would be comparable.
                break
        return kills

    def _once(self, stage: str) -> tuple[bool, bool]:
        """Whether the stage did its work, and whether it was killed."""
        if self.chance.random() < 0.05:
            # What it caches of the lake may be lost at any time.
            for file in self.folder.glob("table_index.sqlite*"):
                file.unlink()
        spared = self.chance.random() < self.SPARED
        at = 0 if spared else self.chance.randint(1, self.length[stage])
        after = self.chance.random() < 0.5
        ended = run(
            stage,
            self.settings,
            self.folder,
            self.proxy,
            lambda call: call.number == at,
            after=after,
            others=self._faults,
        )
        if ended.error:
            self.errors[re.sub(r"[0-9a-f-]{8,}|[0-9]+", "#", ended.error)] += 1
        elif not ended.killed:
            self.length[stage] = max(1, len(self.proxy.calls))
        return not ended.error and not ended.killed, ended.killed


@dataclass
class KillMatrix:
    """Which points are known, from what the stages did, and which a stage was killed at."""

    settings: Settings
    folder: Path
    proxy: FaultProxy
    chance: random.Random
    known: set[Point] = field(default_factory=set)
    done: set[Point] = field(default_factory=set)

    @property
    def left(self) -> set[Point]:
        """Points at which nothing was killed yet."""
        return self.known - self.done

    def round(self, most_kills: int = 30, most_a_stage: int = 30) -> int:
        """Every stage until it ends by itself, killed meanwhile at points that are left; kills."""
        kills = 0
        for stage in STAGES:
            unreached: set[Point] = set()
            before = kills
            while True:
                todo = [p for p in self.left - unreached if p.stage == stage]
                if not todo or kills >= most_kills or kills - before >= most_a_stage:
                    break
                point = self.chance.choice(sorted(todo, key=str))
                if not self._killed_at(point):
                    unreached.add(point)
                    break
                self.done.add(point)
                kills += 1
            run(stage, self.settings, self.folder, self.proxy)
            self._learn(stage)
        return kills

    def _killed_at(self, point: Point) -> bool:
        ended = run(
            point.stage,
            self.settings,
            self.folder,
            self.proxy,
            point.is_at,
            after=point.after,
        )
        self._learn(point.stage)
        return ended.killed

    def _learn(self, stage: str) -> None:
        for call in list(self.proxy.calls):
            self.known |= points_at(stage, call)
