from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stock_pipeline.stack.homelock import HomeInUseError, HomeLock


def test_a_home_takes_one_at_a_time_and_names_it(tmp_path):
    with HomeLock(tmp_path), pytest.raises(HomeInUseError, match=rf"pid {os.getpid()}"):
        HomeLock(tmp_path)


def test_a_released_home_can_be_taken_again(tmp_path):
    with HomeLock(tmp_path):
        pass

    with HomeLock(tmp_path) as lock:
        assert not lock.was_abandoned


def test_a_home_whose_owner_was_killed_can_be_taken_and_says_so(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; "
        "from stock_pipeline.stack.homelock import HomeLock; "
        "lock = HomeLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])

    with HomeLock(tmp_path) as lock:
        assert lock.was_abandoned
