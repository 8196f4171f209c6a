"""I1 to I7 over random histories: crashes between any two steps, rivals, holes, truncation."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from stock_pipeline_tests.support.exactly_once import OffsetLogMachine

OffsetLogMachine.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestExactlyOnce = OffsetLogMachine.TestCase
