"""What a measurement was taken on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

GIBIBYTE = 1024**3


def machine() -> dict[str, object]:
    """Processor, cores that we may use, memory, system, versions and UTC date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu(),
        "cores": cores,
        "memory_gib": round(memory / GIBIBYTE, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "dagster": version("dagster"),
        "duckdb": version("duckdb"),
        "date": datetime.now(UTC).date().isoformat(),
    }


def sentence(of: dict[str, object]) -> str:
    """The machine in one line."""
    return (
        f"{of['cpu']}, {of['cores']} cores, {of['memory_gib']} GiB, {of['system']}, "
        f"Python {of['python']}, {of['date']}"
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
