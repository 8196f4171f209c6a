"""One child process: a session of its own, a log file, a readiness check, a clean stop."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stock_pipeline.errors import StoppedError, UserError
from stock_pipeline.stack.watchdog import signal_group

#: A log grows to this size, is copied to `<name>.log.1` and begins again.
LOG_LIMIT_BYTES = 10 * 1024 * 1024


class ProcessError(UserError):
    """A child process did not come up; the message quotes the end of its log."""


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and how to tell that it is up.

    Attributes:
        name: Shown to people; the log is `<logs>/<name>.log`.
        command: Program and arguments, or what gives them anew at every start.
        environment: Added to ours.
        working_directory: Where it runs; ours by default.
        ready: Says whether it serves; asked until it does or `ready_seconds` are over.
        stop_seconds: Between SIGTERM and SIGKILL.
        restored: Makes again what it forgot when it died. Called when it is ready after a restart;
            a ProcessError is shown, and it is called again.
        runs_once: Exit code 0 is success, not a reason to start it again.
        final_codes: Exit codes after which a new start would end in the same way.
        noise: Log lines with any of these are left out when the log is quoted.
    """

    name: str
    command: Sequence[str] | Callable[[], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: Path | None = None
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 30.0
    stop_seconds: float = 10.0
    restored: Callable[[], None] | None = None
    runs_once: bool = False
    final_codes: frozenset[int] = frozenset()
    noise: tuple[str, ...] = ()


class Child:
    """A started process and the group that it leads."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, which is also its group's id; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def return_code(self) -> int | None:
        """Exit code once it has ended (negative: the signal), None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> int:
        """Start it and return its group id, without waiting for readiness."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.bound_log()
        command = self.spec.command() if callable(self.spec.command) else self.spec.command
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.environment},
                cwd=self.spec.working_directory,
                start_new_session=True,
            )
        return self._process.pid

    def wait_until_ready(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Ask the readiness check until it agrees.

        Raises:
            ProcessError: It ended, or the time is over.
            StoppedError: `cancelled` said so.
        """
        if self.spec.ready is None:
            return
        deadline = time.monotonic() + self.spec.ready_seconds
        while not self.spec.ready():
            if cancelled():
                raise StoppedError(self.spec.name)
            if not self.is_alive:
                raise ProcessError(
                    f"{self.spec.name} ended with exit code {self.return_code} before it was "
                    f"ready. {self._quoted_log()}"
                )
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"{self.spec.name} is not ready after {self.spec.ready_seconds:.0f} s. "
                    f"{self._quoted_log()}"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """SIGTERM to the leader, time to end in order, then SIGKILL to all that it started."""
        if self._process is None:
            return
        if self.is_alive:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.spec.stop_seconds)
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def bound_log(self) -> None:
        """Begin the log again when it has grown too large; one former log is kept.

        Copied and truncated in place: the process keeps writing to the same file, in append mode.
        """
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
            os.truncate(self.log, 0)

    def last_lines(self, count: int = 8) -> list[str]:
        """The end of its log, without what the spec calls noise."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 16_384))
            lines = log.read().decode("utf-8", "replace").splitlines()
        return [
            line
            for line in lines
            if line.strip() and not any(noise in line for noise in self.spec.noise)
        ][-count:]

    def _quoted_log(self) -> str:
        lines = self.last_lines()
        quoted = "".join(f"\n  {line}" for line in lines) or " (it wrote nothing)"
        return f"The end of {self.log}:{quoted}"
