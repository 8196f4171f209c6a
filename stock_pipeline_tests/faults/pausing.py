"""Jobs that stand still at one of their requests while others go on: zombies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stock_pipeline.settings import Settings
from stock_pipeline_tests.faults.jobs import Job
from stock_pipeline_tests.faults.killing import Point, through
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.support.proxy import Exchange, FaultProxy


class Zombie:
    """A job that SIGSTOP halts at a point, until `wake`; the request waits with it."""

    def __init__(
        self, point: Point, settings: Settings, folder: Path, proxy: FaultProxy, **arguments: Any
    ) -> None:
        self.point = point
        self._halted, self._woken = threading.Event(), threading.Event()
        self._pid: Future[int] = Future()
        proxy.add(self._halt, point.is_at, times=1)
        folder.mkdir()
        self._job = Job(point.stage, through(settings, proxy), folder, **arguments)
        self._pid.set_result(self._job.pid)

    def _halt(self, exchange: Exchange) -> None:
        said = exchange.forward() if self.point.after else None
        os.kill(self._pid.result(30), signal.SIGSTOP)
        TALLY.pauses += 1
        self._halted.set()
        self._woken.wait(300)
        exchange.reply(said or exchange.forward())

    def halted(self) -> bool:
        """Waits until it stands still; False when it ended without getting there."""
        while not self._halted.wait(0.05):
            if not self._job.alive:
                return False
        return True

    def wake(self) -> None:
        """Let it go on where it stood."""
        if self._halted.is_set() and not self._woken.is_set():
            os.kill(self._job.pid, signal.SIGCONT)
        self._woken.set()

    def result(self) -> Any:
        """What its job returned; fails as `Job.result` does."""
        return self._job.result()


@contextmanager
def zombies(
    points: list[tuple[Point, dict[str, Any]]], settings: Settings, folder: Path, upstream: str
) -> Iterator[list[Zombie]]:
    """A zombie at each point, started in this order, with a proxy and a folder of its own."""
    with ExitStack() as stack:
        found = []
        for number, (point, arguments) in enumerate(points):
            proxy = stack.enter_context(FaultProxy(upstream))
            zombie = Zombie(point, settings, folder / f"zombie-{number}", proxy, **arguments)
            stack.callback(zombie.wake)
            zombie.halted()
            found.append(zombie)
        yield found
