from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stock_pipeline.errors import StoppedError
from stock_pipeline.stack import processes
from stock_pipeline.stack.processes import ProcessError, ProcessSpec
from stock_pipeline.stack.supervisor import HEALTHY_SECONDS, Backoff, Supervisor
from stock_pipeline_tests.support.processes import SLEEP, runs
from stock_pipeline_tests.support.waiting import until

#: Starts a grandchild in the same group, writes its pid, and waits.
PARENT = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path, notices):
    supervisor = Supervisor(tmp_path / "logs", notices.append)
    yield supervisor
    supervisor.stop_all()


def test_the_delay_doubles_with_each_end_and_stays_below_a_minute():
    backoff, delays = Backoff(), []
    for _ in range(9):
        backoff = backoff.after_end(now=100.0, ran_seconds=1.0)
        delays.append(backoff.retry_at - 100.0)

    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_child_that_was_healthy_starts_again_without_delay():
    tired = Backoff(failures=7)

    assert tired.after_end(0.0, HEALTHY_SECONDS) == Backoff(failures=1, retry_at=0.5)


def test_a_killed_child_is_started_again(supervisor, notices):
    child = supervisor.start(ProcessSpec("sleeper", SLEEP))
    first = child.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: not child.is_alive, "the child's end")

    until(lambda: supervisor.check() or child.is_alive, "another start")

    assert child.pid != first
    assert len(notices) == 2
    assert "exit code -9" in notices[0]


def test_a_child_that_keeps_dying_is_not_started_in_a_busy_loop(tmp_path, notices):
    now = [0.0]
    supervisor = Supervisor(tmp_path, notices.append, clock=lambda: now[0])
    child = supervisor.start(ProcessSpec("failing", [sys.executable, "-c", "raise SystemExit(3)"]))
    starts = 0
    for now[0] in [t / 10 for t in range(100)]:  # 10 seconds
        until(lambda: not child.is_alive, "the child's end")
        before = child.pid
        supervisor.check()
        starts += child.pid != before
    supervisor.stop_all()

    assert starts == 4  # after 0.5, 1, 2 and 4 s


def test_a_task_that_ended_well_is_not_started_again(supervisor, notices):
    task = ProcessSpec("task", [sys.executable, "-c", ""], runs_once=True)
    child = supervisor.start(task)
    until(lambda: not child.is_alive, "the child's end")

    supervisor.check()
    supervisor.check()

    assert supervisor.has_succeeded("task")
    assert notices == []


def test_a_task_that_failed_is_started_again(supervisor, tmp_path):
    marker = tmp_path / "marker"
    code = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); ok = p.exists(); p.touch(); "
    command = [sys.executable, "-c", code + "sys.exit(not ok)", str(marker)]
    supervisor.start(ProcessSpec("task", command, runs_once=True))

    until(lambda: supervisor.check() or supervisor.has_succeeded("task"), "the task's end")


def test_a_child_that_does_not_come_up_is_explained_with_its_log(supervisor):
    code = "print('noise here'); print('the port is taken'); raise SystemExit(4)"
    spec = ProcessSpec(
        "broken", [sys.executable, "-c", code], ready=lambda: False, noise=("noise",)
    )

    with pytest.raises(ProcessError, match=r"exit code 4.*\n  the port is taken$") as caught:
        supervisor.start(spec)
    assert "noise here" not in str(caught.value)


def test_a_child_that_never_is_ready_is_stopped(supervisor, tmp_path):
    pid = tmp_path / "pid"
    command = [sys.executable, "-c", PARENT, str(pid)]

    def never() -> bool:
        until(lambda: pid.exists() and pid.read_text() != "", "the grandchild's pid")
        return False

    spec = ProcessSpec("slow", command, ready=never, ready_seconds=1.5)

    with pytest.raises(ProcessError, match="not ready after"):
        supervisor.start(spec)
    until(lambda: not runs(int(pid.read_text())), "the grandchild's end")


def test_starting_can_be_cancelled(tmp_path):
    supervisor = Supervisor(tmp_path, lambda _: None, cancelled=lambda: True)

    with pytest.raises(StoppedError):
        supervisor.start(ProcessSpec("slow", SLEEP, ready=lambda: False))
    supervisor.stop_all()


def test_children_stop_in_reverse_order_with_all_that_they_started(supervisor, tmp_path):
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[2], 'a').write(sys.argv[1]); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    for name in "abc":
        log = supervisor.logs / f"{name}.log"
        command = [sys.executable, "-c", code, name, str(order)]
        supervisor.start(
            ProcessSpec(name, command, ready=lambda log=log: b"ready" in log.read_bytes())
        )
    pid = tmp_path / "pid"
    command = [sys.executable, "-c", PARENT, str(pid)]
    supervisor.start(ProcessSpec("parent", command, ready=lambda: pid.exists() and pid.read_text()))

    supervisor.stop_all()

    assert order.read_text() == "cba"
    until(lambda: not runs(int(pid.read_text())), "the grandchild's end")


def test_a_child_that_ignores_sigterm_is_killed(supervisor):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(60)"
    )
    log = supervisor.logs / "deaf.log"
    spec = ProcessSpec(
        "deaf",
        [sys.executable, "-c", code],
        ready=lambda: b"ready" in log.read_bytes(),
        stop_seconds=0.3,
    )
    child = supervisor.start(spec)

    supervisor.stop("deaf")

    assert child.return_code == -signal.SIGKILL


def test_a_log_that_has_grown_too_large_begins_again(supervisor, monkeypatch):
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 1000)
    code = "import time; print('x' * 2000, flush=True); time.sleep(60)"
    child = supervisor.start(ProcessSpec("loud", [sys.executable, "-c", code]))
    until(lambda: child.log.stat().st_size > 2000, "a long log")

    supervisor.check()

    assert child.log.stat().st_size == 0
    assert child.log.with_name("loud.log.1").stat().st_size == 2001


def test_the_watchdog_stops_everything_when_the_supervisor_is_killed(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from stock_pipeline.stack.processes import ProcessSpec
from stock_pipeline.stack.supervisor import Supervisor
supervisor = Supervisor(Path({str(tmp_path)!r}), print)
pid = Path({str(tmp_path / "pid")!r})
command = [sys.executable, "-c", {PARENT!r}, str(pid)]
supervisor.start(ProcessSpec("parent", command, ready=lambda: pid.exists() and pid.read_text()))
print(supervisor.child("parent").pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    grandchild = int((tmp_path / "pid").read_text())
    assert runs(child)
    assert runs(grandchild)

    process.kill()
    process.wait()

    until(lambda: not runs(child) and not runs(grandchild), "the end of both")
    process.stdout.close()


def test_what_a_killed_child_forgot_is_made_again_as_often_as_it_takes(supervisor, notices):
    made: list[bool] = []

    def restored() -> None:
        made.append(len(made) == 1)
        if not made[-1]:
            raise ProcessError("Not yet; it is tried again.")

    child = supervisor.start(ProcessSpec("forgetful", SLEEP, restored=restored))
    supervisor.check()
    assert made == []
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: not child.is_alive, "the child's end")

    until(lambda: supervisor.check() or made == [False, True], "it is made again")
    supervisor.check()

    assert made == [False, True]
    assert notices[-1] == "Not yet; it is tried again."
