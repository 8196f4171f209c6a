"""Keeps child processes running: start in order, restart what dies, stop in reverse order."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stock_pipeline.stack import watchdog
from stock_pipeline.stack.processes import Child, ProcessError, ProcessSpec

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 60.0
#: A child that ran this long was healthy: its next end counts as the first.
HEALTHY_SECONDS = 60.0


@dataclass(frozen=True)
class Backoff:
    """How often a child has ended in a row, and when it may be started again."""

    failures: int = 0
    retry_at: float = 0.0

    def after_end(self, now: float, ran_seconds: float) -> Backoff:
        """The state after one more end: 0.5 s, doubled each time, at most a minute."""
        failures = 1 if ran_seconds >= HEALTHY_SECONDS else self.failures + 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 20))
        return Backoff(failures, now + delay)


@dataclass
class _Supervised:
    child: Child
    started_at: float
    backoff: Backoff = field(default_factory=Backoff)
    waits: bool = False
    forgetful: bool = False
    done: bool = False


class Supervisor:
    """Starts, watches and stops children. Not thread-safe: call it from one thread.

    Every child leads a session of its own, so a Ctrl-C in the terminal reaches only us; and a
    watchdog process stops the children when we are killed and cannot.
    """

    def __init__(
        self,
        logs: Path,
        notify: Callable[[str], None],
        cancelled: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a supervisor without children.

        Args:
            logs: Folder of the log files.
            notify: Receives one sentence whenever a child ends or is started again.
            cancelled: Asked while a child starts; True gives up.
            clock: Seconds, monotonic.
        """
        self.logs = logs
        self._notify = notify
        self._cancelled = cancelled
        self._clock = clock
        self._children: dict[str, _Supervised] = {}
        self._watchdog: subprocess.Popen[str] | None = None

    def start(self, spec: ProcessSpec) -> Child:
        """Start a child and wait until it is ready.

        Raises:
            ProcessError: It did not come up; it has been stopped again.
            StoppedError: Starting was cancelled; it has been stopped again.
        """
        child = Child(spec, self.logs / f"{spec.name}.log")
        self._launch(child)
        self._children[spec.name] = _Supervised(child, self._clock())
        try:
            child.wait_until_ready(self._cancelled)
        except BaseException:
            self.stop(spec.name)
            raise
        return child

    def child(self, name: str) -> Child:
        """The child of that name; KeyError when there is none."""
        return self._children[name].child

    def is_alive(self, name: str) -> bool:
        """Whether there is such a child, and it runs."""
        return name in self._children and self._children[name].child.is_alive

    def has_succeeded(self, name: str) -> bool:
        """Whether a child that runs once has ended with exit code 0."""
        found = self._children.get(name)
        return found is not None and found.done and found.child.return_code == 0

    def check(self) -> None:
        """Start again what has ended and whose back-off is over, and restore what is ready."""
        for name, supervised in self._children.items():
            child = supervised.child
            child.bound_log()
            if supervised.done:
                continue
            now = self._clock()
            if child.is_alive:
                self._restore(supervised, now)
            elif not supervised.waits:
                self._after_end(supervised, now)
            elif now >= supervised.backoff.retry_at:
                self._launch(child)
                supervised.started_at, supervised.waits = now, False
                supervised.forgetful = child.spec.restored is not None
                self._notify(f"{name} was started again.")

    def stop(self, name: str) -> None:
        """Stop one child and forget it."""
        supervised = self._children.pop(name)
        supervised.child.stop()
        self._tell_watchdog(-(supervised.child.pid or 0))

    def stop_all(self) -> None:
        """Stop every child, the last started first."""
        for name in reversed(list(self._children)):
            self.stop(name)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None

    def _after_end(self, supervised: _Supervised, now: float) -> None:
        child = supervised.child
        # What it has started would hold its ports.
        child.stop()
        self._tell_watchdog(-(child.pid or 0))
        if child.spec.runs_once and child.return_code == 0:
            supervised.done = True
            return
        if child.return_code in child.spec.final_codes:
            supervised.done = True
            # The command line tells the reason last.
            said = " ".join(child.last_lines(1)) or "it said nothing"
            self._notify(f"{child.spec.name} ended and is not started again: {said}")
            return
        supervised.backoff = supervised.backoff.after_end(now, now - supervised.started_at)
        supervised.waits = True
        self._notify(
            f"{child.spec.name} ended with exit code {child.return_code}; it is started again in "
            f"{supervised.backoff.retry_at - now:.1f} s. Its log: {child.log}"
        )

    def _restore(self, supervised: _Supervised, now: float) -> None:
        spec = supervised.child.spec
        if not supervised.forgetful or spec.restored is None or now < supervised.backoff.retry_at:
            return
        if spec.ready is not None and not spec.ready():
            return
        try:
            spec.restored()
        except ProcessError as error:
            supervised.backoff = supervised.backoff.after_end(now, 0.0)
            self._notify(str(error))
        else:
            supervised.forgetful = False

    def _launch(self, child: Child) -> None:
        self._tell_watchdog(child.start())

    def _tell_watchdog(self, pgid: int) -> None:
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", watchdog.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{pgid}\n")
            self._watchdog.stdin.flush()
