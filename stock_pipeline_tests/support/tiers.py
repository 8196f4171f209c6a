"""Which `make` target runs a test, and which tests stay on one worker.

A test's folder, its fixtures and its explicit markers decide; docs/testing.md says what each tier
proves.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

STACK_FIXTURES = {"local_stack", "stack", "broker", "ministack_endpoint", "apache_broker"}
APACHE_FIXTURES = {"apache_broker", "apache_cluster", "apache_node"}

#: Markers of what a test needs and does that follow from its folder and its fixtures.
KINDS = {"integration", "apache", "broker", "faults", "fuzz", "browser"}

#: Marker of each tier, and the target that runs it.
TIERS = {
    "tier_check": "make check",
    "tier_test": "make test",
    "tier_apache": "make test-apache",
    "tier_faults": "make test-faults",
}
#: Tests that share something heavy which one of them starts: a Dagster, a `make dev`, brokers.
TOGETHER = (
    "stock_pipeline_tests/browser/",
    "stock_pipeline_tests/faults/running/",
    "stock_pipeline_tests/integration/apache/test_cluster.py",
    "stock_pipeline_tests/integration/apache/test_outages.py",
    "stock_pipeline_tests/integration/security/",
)
#: Of everything that pytest collected, whatever of it runs: tiers by the test's name.
COLLECTED = pytest.StashKey[dict[str, set[str]]]()


def kinds_of(item: pytest.Item) -> set[str]:
    """Markers that say what a test needs and does, the explicit ones included."""
    fixtures = set(getattr(item, "fixturenames", ()))
    folders = set(item.path.relative_to(item.config.rootpath).parts)
    kinds = {marker.name for marker in item.iter_markers()}
    if STACK_FIXTURES & fixtures or {"integration", "browser"} & folders:
        kinds.add("integration")
    if APACHE_FIXTURES & fixtures:
        kinds |= {"apache", "integration"}
    elif "broker" in fixtures and "apache" not in kinds:
        kinds.add("broker")
    return kinds | ({"faults", "fuzz", "browser"} & folders)


def tiers_of(kinds: set[str]) -> set[str]:
    """Tiers of a test of these kinds: one, but two for what is judged on both brokers."""
    if "smoke" in kinds:
        return {"tier_test"}
    if kinds & {"faults", "fuzz", "browser"}:
        return {"tier_faults"}
    if "apache" in kinds:
        return {"tier_apache"}
    if "integration" not in kinds:
        return {"tier_check"}
    both = {"broker_semantics", "broker"} <= kinds
    return {"tier_test", "tier_apache"} if both else {"tier_test"}


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Those of `TOGETHER` go to one worker, the most first; every other test is on its own.

    The group markers of pytest-xdist 3.8 do nothing with pytest 9.2, which has other node ids.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)
