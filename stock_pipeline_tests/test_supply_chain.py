"""What guards the supply chain notices what it is there for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stock_pipeline.settings import project_root

CI = project_root() / ".ci"
#: Never whole in this file, which is scanned itself.
PLANTED = {
    "an AWS key": "AKIA" + "Q3EGRIO7JMHXDCYT",
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "a GitHub token": "ghp" + "_" + "0123456789abcdefghijABCDEFGHIJ012345",
}


def scan(file: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BIN": str(Path(sys.executable).parent)}
    return subprocess.run([CI / "secrets", file], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("kind", PLANTED)
def test_the_scanner_finds(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f'"""Nothing."""\n\nVALUE = """{PLANTED[kind]}"""\n')
    found = scan(file)
    assert found.returncode == 1, found.stderr
    assert PLANTED[kind] not in found.stdout + found.stderr


def test_the_scanner_passes_what_holds_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text("password = get_settings().kafka.security.password\n")
    assert scan(file).returncode == 0


def copy_of_the_lock(folder: Path) -> Path:
    (folder / ".ci").mkdir()
    shutil.copy(CI / "lock", folder / ".ci" / "lock")
    for name in ("constraints.txt", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(project_root() / name, folder / name)
    return folder


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, folder / ".ci" / "lock", "--check"], capture_output=True, text=True
    )


def test_the_lock_files_are_in_step_with_the_constraints() -> None:
    done = check(project_root())
    assert done.returncode == 0, done.stdout


def test_another_version_and_a_missing_hash_are_noticed(tmp_path: Path) -> None:
    folder = copy_of_the_lock(tmp_path)
    constraints = folder / "constraints.txt"
    text = constraints.read_text()
    constraints.write_text(text + "left-pad==1.0.0\n")
    assert "left-pad==1.0.0" in check(folder).stdout
    constraints.write_text(text)
    lock = folder / "requirements.lock"
    first = lock.read_text().splitlines()[1].split(" ")[0]
    lines = lock.read_text().splitlines()
    end = next(n for n, line in enumerate(lines[2:], 2) if not line.startswith(" "))
    lock.write_text("\n".join([lines[0], first, *lines[end:]]) + "\n")
    done = check(folder)
    assert done.returncode == 1
    assert first in done.stdout


def test_lock_files_name_no_index_and_no_host() -> None:
    for name in ("constraints.txt", "requirements.lock", "requirements-dev.lock"):
        text = (project_root() / name).read_text()
        assert "://" not in text
        assert "index-url" not in text
