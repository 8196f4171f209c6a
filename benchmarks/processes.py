"""Memory, CPU and disk writes of a process and all that it started, from /proc (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

#: A process belongs to the first group whose word its command line holds, else to its parent's.
GROUP_WORDS = (
    ("noida-db", "broker"),
    ("stack.emulator", "aws"),
    ("stack.crawler", "crawler"),
    ("watchdog.py", "supervisor"),
    ("simulate", "simulator"),
    ("replay", "replay"),
    ("dagster", "dagster"),
)


@dataclass(frozen=True)
class Usage:
    """What a group of processes uses.

    Attributes:
        rss_bytes: Resident memory; pages that processes share count in each.
        pss_bytes: Resident memory with shared pages divided among their users.
        cpu_seconds: User and system time since each start, ended children included.
        write_bytes: Bytes sent to disk since each start, ended children included.
        processes: How many run now.
    """

    rss_bytes: int = 0
    pss_bytes: int = 0
    cpu_seconds: float = 0.0
    write_bytes: int = 0
    processes: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.rss_bytes + other.rss_bytes,
            self.pss_bytes + other.pss_bytes,
            self.cpu_seconds + other.cpu_seconds,
            self.write_bytes + other.write_bytes,
            self.processes + other.processes,
        )


def usage_by_group(root: int) -> dict[str, Usage]:
    """Usage of `root` and its descendants, by group.

    The kernel adds the CPU time and the writes of an ended child to the parent that waited for it,
    so the run workers that live for seconds are not lost between two samples.
    """
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        stat = _stat(folder)
        if stat:
            children.setdefault(int(stat[1]), []).append(int(folder.name))
    groups: dict[str, Usage] = {}
    todo = [(root, "supervisor")]
    while todo:
        pid, inherited = todo.pop()
        group = _group(pid, inherited)
        groups[group] = groups.get(group, Usage()) + _usage(pid)
        todo += [(child, group) for child in children.get(pid, [])]
    return groups


def _group(pid: int, inherited: str) -> str:
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return inherited
    # Inside Dagster a run worker's arguments may hold any word.
    if inherited != "supervisor":
        return inherited
    return next((group for word, group in GROUP_WORDS if word in command), inherited)


def _usage(pid: int) -> Usage:
    folder = PROC / str(pid)
    stat = _stat(folder)
    try:
        written = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
        smaps = (folder / "smaps_rollup").read_text()
    except OSError:
        return Usage()  # Ended meanwhile.
    if not stat:
        return Usage()
    pss = next((int(x.split()[1]) for x in smaps.splitlines() if x.startswith("Pss:")), 0)
    return Usage(
        rss_bytes=int(stat[21]) * PAGE,
        pss_bytes=pss * 1024,
        cpu_seconds=sum(map(int, stat[11:15])) / TICKS,
        write_bytes=int(written["write_bytes"]),
        processes=1,
    )


def _stat(folder: Path) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty when the process has ended."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
