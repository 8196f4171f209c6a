"""Child processes of tests."""

from __future__ import annotations

import sys
from pathlib import Path

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def runs(pid: int) -> bool:
    """Whether the process has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
