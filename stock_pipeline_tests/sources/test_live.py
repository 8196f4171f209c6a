"""Contracts with the real vendors: STOCK_PIPELINE_TEST_LIVE=1 pytest -m live, with keys in .env.

Skipped without that variable, since asking takes of a day's requests, and without a vendor's key.
"""

from __future__ import annotations

import os
import threading

import pytest

from stock_pipeline.settings import load_settings
from stock_pipeline.sources.registry import SOURCES, open_source, source_kind, source_settings
from stock_pipeline.sources.source import SourceRequest

pytestmark = pytest.mark.live

#: Of vendors only; what has no quotas, no address and no key is ours.
VENDORS = sorted(set(SOURCES) - {"csv", "simulator"})


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if os.environ.get("STOCK_PIPELINE_TEST_LIVE") != "1":
        pytest.skip("vendors are asked with STOCK_PIPELINE_TEST_LIVE=1 only")
    if source_kind(name).needs_key and not source_settings(load_settings(), name).api_key:
        pytest.skip(f"no key for {name}")
    return name


def test_the_key_works(vendor: str) -> None:
    source = open_source(load_settings(), vendor, notify=print, stop=threading.Event())
    assert source.check()


def test_daily_bars_of_a_large_company_are_messages(vendor: str) -> None:
    kind = source_kind(vendor)
    if "bars" not in kind.formats or "bars" in kind.streams:
        pytest.skip(f"{vendor} has no bars to ask for")
    told: list[str] = []
    source = open_source(
        load_settings(), vendor, notify=lambda n: told.append(n.sentence), stop=threading.Event()
    )
    found = next(iter(source.fetch(SourceRequest(("IBM",), "bars", "1d"))), None)
    assert found is not None, told
    assert found.key == b"IBM"
    assert found.value
