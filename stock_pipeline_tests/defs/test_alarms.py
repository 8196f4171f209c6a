"""Whoever sees an alarm finds it in docs/operations.md."""

from __future__ import annotations

import re

from stock_pipeline.definitions import defs
from stock_pipeline.settings import project_root


def test_every_check_and_every_kind_of_asset_has_its_place_in_the_page_on_operations():
    page = (project_root() / "docs" / "operations.md").read_text(encoding="utf-8")
    alarms = page[page.index("## Alarms") : page.index("## What the keys must allow")]
    graph = defs().resolve_asset_graph()
    checks = {key.name for key in graph.asset_check_keys}
    assert "days_agree_with_trades" in checks
    assert {name for name in checks if f"`{name}`" not in alarms} == set()

    # A run that fails is an alarm too: a heading names the first part of its asset's key.
    headings = "".join(re.findall("^### .*$", alarms, re.MULTILINE))
    kinds = {key.path[0] for key in graph.get_all_asset_keys()}
    assert "landing" in kinds
    assert {kind for kind in kinds if not re.search(f"`{kind}[/`]", headings)} == set()
