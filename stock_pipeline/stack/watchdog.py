"""Stops process groups when the process that started them is gone, however it went.

The supervisor starts `python watchdog.py` in a session of its own and writes `+<pgid>` and
`-<pgid>` lines to its stdin. End of input means that the supervisor died without stopping its
children (kill -9, a crash): what is still listed gets SIGTERM, then SIGKILL. Linux'
PR_SET_PDEATHSIG was not enough: it reaches the child only, not what the child started, and the
AWS emulator saves its catalogue only on an orderly stop.

Imports nothing but the standard library, so that it starts in milliseconds.
"""

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 10.0


def signal_group(pgid: int, number: int) -> bool:
    """Send a signal to a group; signal 0 only asks. False when the group is gone."""
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        # PermissionError: macOS says so of a group that holds only zombies.
        return False
    return True


def stop_groups(groups: list[int], grace_seconds: float = GRACE_SECONDS) -> None:
    """SIGTERM to every group, SIGKILL to those that remain after the grace period."""
    for pgid in groups:
        signal_group(pgid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and any(signal_group(pgid, 0) for pgid in groups):
        time.sleep(0.1)
    for pgid in groups:
        signal_group(pgid, signal.SIGKILL)


def main() -> None:
    """Follow stdin until it ends, then stop the groups that are still listed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        pgid = int(line)
        if pgid > 0:
            groups.append(pgid)
        else:
            with contextlib.suppress(ValueError):
                groups.remove(-pgid)
    stop_groups(groups[::-1])


if __name__ == "__main__":
    main()
