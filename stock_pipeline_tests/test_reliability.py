"""The page on reliability names tests that exist, and all that this project installs is pinned."""

from __future__ import annotations

import re

from stock_pipeline.settings import project_root

ROOT = project_root()


def test_every_test_that_the_documentation_names_exists():
    tests = "\n".join(
        p.read_text(encoding="utf-8") for p in (ROOT / "stock_pipeline_tests").rglob("*.py")
    )
    named = {
        name
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for name in re.findall(r"`(test_[a-z0-9_]+)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) >= 25
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_all_fifteen_failures_of_others_have_a_test():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(\d+)\. .*`test_[a-z0-9_]+`", page, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 16)]
