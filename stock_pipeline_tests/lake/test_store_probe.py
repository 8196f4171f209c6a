"""A store that does not honour conditional writes is refused (invariant I8)."""

from __future__ import annotations

import time

import pytest

from stock_pipeline.lake.probe import StoreProbe, probe_conditional_writes
from stock_pipeline.lake.store import Lake
from stock_pipeline_tests.support.careless_store import careless_store


def test_a_store_that_keeps_its_promises_passes_quickly_and_is_left_clean(lake: Lake) -> None:
    took = []
    for _ in range(5):
        started = time.monotonic()
        assert probe_conditional_writes(lake) == []
        took.append(time.monotonic() - started)
    assert min(took) < 2.0
    assert list(lake.list("")) == []


def test_a_bad_verdict_is_asked_for_again_and_a_good_one_is_kept(
    lake: Lake, ministack_endpoint: str
) -> None:
    with careless_store(ministack_endpoint, ("PUT", "If-Match")) as url:
        probe = StoreProbe(behind(lake, url))
        assert probe.problems()
        assert probe.problems()
    probe.lake = lake
    assert probe.problems() == []
    probe.lake = behind(lake, "http://127.0.0.1:1")
    assert probe.problems() == []


def test_an_honest_proxy_passes(lake: Lake, ministack_endpoint: str) -> None:
    with careless_store(ministack_endpoint) as url:
        assert probe_conditional_writes(behind(lake, url)) == []


@pytest.mark.parametrize(
    ("drops", "sentence"),
    [
        (("PUT", "If-None-Match"), "The store ignores put-if-absent (If-None-Match: *): 8 racing"),
        (("PUT", "If-Match"), "Compare-and-swap (If-Match) overwrote an object although the ETag"),
        (("POST", "If-None-Match"), "The store ignores put-if-absent of multipart uploads"),
    ],
)
def test_a_store_that_ignores_a_condition_is_named(
    lake: Lake, ministack_endpoint: str, drops: tuple[str, str], sentence: str
) -> None:
    with careless_store(ministack_endpoint, drops) as url:
        (problem,) = probe_conditional_writes(behind(lake, url))
    assert problem.startswith(sentence)
    assert list(lake.list("")) == []


def test_a_store_that_looks_first_and_writes_later_is_caught_by_the_race(
    lake: Lake, ministack_endpoint: str
) -> None:
    with careless_store(ministack_endpoint, checks_then_writes=True) as url:
        problems = probe_conditional_writes(behind(lake, url))
    assert any("put-if-absent (If-None-Match: *)" in problem for problem in problems)


def behind(lake: Lake, url: str) -> Lake:
    """The same bucket through a proxy."""
    return Lake(lake.aws.model_copy(update={"endpoint_url": url}))
