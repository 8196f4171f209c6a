"""What the documentation names as a test is one, and a tier that CI runs has it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from stock_pipeline.settings import project_root
from stock_pipeline_tests.support.tiers import COLLECTED, TIERS

ROOT = project_root()


def test_every_test_that_the_documentation_names_is_in_a_tier_that_ci_runs(
    request: pytest.FixtureRequest,
):
    named = {
        name
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for name in re.findall(r"`(test_[a-z0-9_]+)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) >= 25
    found = {name for name, tiers in request.config.stash[COLLECTED].items() if tiers & set(TIERS)}
    if named - found:
        # This session was asked for a part of the tests only.
        found = collected_in(TIERS)
    assert named - found == set()


def collected_in(tiers: dict[str, str]) -> set[str]:
    """Names of all tests that pytest collects in these tiers."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    said = subprocess.run(
        [*command, "--collect-only", "-m", " or ".join(tiers)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"::(test_[a-z0-9_]+)", said.stdout))


def test_ci_runs_every_tier():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = dict(re.findall(r"^([a-z-]+):(.*(?:\n\t.*)*)", makefile, re.MULTILINE))
    ran = re.findall(r"make ([a-z-]+)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    asked = {tier for target in ran for tier in re.findall(r"tier_[a-z]+", recipes[target])}
    assert asked == set(TIERS)
    assert all(tier in recipes[target.split()[1]] for tier, target in list(TIERS.items())[1:])


def test_all_fifteen_failures_of_others_have_a_test():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(\d+)\. .*`test_[a-z0-9_]+`", page, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 16)]
