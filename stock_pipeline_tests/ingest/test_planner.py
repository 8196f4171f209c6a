"""When an undecided batch is asked for again."""

from __future__ import annotations

from datetime import datetime, timedelta

from stock_pipeline.ingest.planner import Attempt, NotYet, backoff_seconds, next_attempt

NOW = datetime(2026, 11, 20, 15, 0)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_a_plan_without_a_run_is_requested_at_once():
    assert next_attempt([], 600, NOW) == 1


def test_a_running_attempt_is_left_alone_until_its_deadline():
    assert next_attempt([Attempt(1, ago(599), None)], 600, NOW) == NotYet(1)
    assert next_attempt([Attempt(1, ago(606), None)], 600, NOW) == 2


def test_a_failed_attempt_backs_off_and_is_never_dropped():
    assert next_attempt([Attempt(1, ago(9), NOW)], 600, NOW) == NotYet(1, 5.0)
    assert next_attempt([Attempt(1, ago(9), ago(5))], 600, NOW) == 2
    assert next_attempt([Attempt(99, ago(5000), ago(601))], 600, NOW) == 100


def test_the_pause_doubles_up_to_ten_minutes():
    assert [backoff_seconds(n) for n in (1, 2, 3, 50)] == [5, 10, 20, 600]


def test_the_newest_attempt_counts():
    attempts = [Attempt(2, ago(10), None), Attempt(1, ago(900), ago(800))]
    assert next_attempt(attempts, 600, NOW) == NotYet(2)
