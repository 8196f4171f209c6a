"""Runs that wake up after their successor has decided, and rivals at the same work (I2, I3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from stock_pipeline.settings import Settings
from stock_pipeline_tests.faults.jobs import STAGES, Job
from stock_pipeline_tests.faults.killing import (
    Point,
    payloads,
    points_at,
    run,
    run_all,
    settings_of,
    through,
)
from stock_pipeline_tests.faults.pausing import zombies
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.faults.truth import (
    assert_every_offset_once,
    assert_lost_and_doubled_nothing,
)
from stock_pipeline_tests.support.fault_kinds import cut_after
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.stack import Produce

#: Payloads that make one batch.
BATCH = 10


@pytest.fixture
def settings(settings_for, lake, broker) -> Settings:
    return settings_of(settings_for, {"max_records": BATCH, "max_batches_in_flight": 100})


def points_of(stage: str, settings: Settings, folder: Path, proxy: FaultProxy) -> list[Point]:
    """Before each step that a run of the stage takes now, and after each that writes."""
    run(stage, settings, folder, proxy)
    points = [sorted(points_at(stage, call), key=lambda p: p.after) for call in proxy.calls]
    return list(dict.fromkeys(point for both in points for point in both))


@pytest.mark.timeout(900)
def test_a_run_that_wakes_after_its_successors_decision_changes_nothing(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """At each step of a batch, and until the decision also with a newer decoder."""
    topic = settings.feeds["trades"].topic
    produce(topic, list(payloads(0)))
    run("plan", settings, tmp_path, proxy)
    points = points_of("ingest", settings, tmp_path, proxy)
    decision = next(n for n, p in enumerate(points) if p.step.startswith("PutObject bronze"))
    asked = [(point, False) for point in points] + [(p, True) for p in points[: decision + 1]]
    for number in range(len(asked)):
        produce(topic, list(payloads(1, 100 * number)))
    while run("plan", settings, tmp_path, proxy).result:
        pass
    each = [
        (point, {"seq": seq, "newer_decoder": newer})
        for seq, (point, newer) in enumerate(asked, start=1)
    ]
    with zombies(each, settings, tmp_path, proxy.upstream_url) as asleep:
        # Never halted: a first batch has a step that later ones have not.
        assert sum(zombie.halted() for zombie in asleep) >= len(asked) - 4
        run("ingest", settings, tmp_path, proxy)
        run("refresh", settings, tmp_path, proxy)
        assert_every_offset_once(settings)
        for zombie in asleep:
            zombie.wake()
        for zombie in asleep:
            zombie.result()
    assert run("refresh", settings, tmp_path, proxy).result == 0
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", ["plan", "refresh", "catalogue"])
def test_whoever_wakes_late_at_any_step_loses_and_doubles_nothing(
    stage: str, settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    topic = settings.feeds["trades"].topic
    points: list[Point] = []
    for day in range(2):
        # The first time teaches the steps; the second time a zombie stands at each.
        produce(topic, list(payloads(day)))
        for before in STAGES[: STAGES.index(stage)]:
            run(before, settings, tmp_path, proxy)
        if day == 0:
            points = points_of(stage, settings, tmp_path, proxy)
            run_all(settings, tmp_path, proxy)
    with zombies([(p, {}) for p in points], settings, tmp_path, proxy.upstream_url) as asleep:
        assert sum(zombie.halted() for zombie in asleep) > len(points) // 2
        produce(topic, list(payloads(1, 100)))
        run_all(settings, tmp_path, proxy)
        assert_every_offset_once(settings)
        for zombie in asleep:
            zombie.wake()
            zombie.result()
    if stage == "plan":
        # What a late planner planned is asked for.
        run_all(settings, tmp_path, proxy)
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.timeout(600)
def test_refreshes_of_the_same_partitions_race_to_the_same_tables(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """Each begins with a batch more than the one before knew, and none waits for another."""
    topic = settings.feeds["trades"].topic
    racing = []
    for racer in range(5):
        produce(topic, list(payloads(0, 100 * racer)))
        run("plan", settings, tmp_path, proxy)
        run("ingest", settings, tmp_path, proxy)
        folder = tmp_path / f"racer-{racer}"
        folder.mkdir()
        racing.append(Job("refresh", settings, folder))
    for job in racing:
        job.result()
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.timeout(600)
def test_daemons_with_storages_of_their_own_plan_and_ingest_one_feed(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    topic = settings.feeds["trades"].topic
    produce(topic, list(payloads(0)))
    daemons = [Job("daemon", settings, tmp_path, ticks=4) for _ in range(3)]
    for number in range(1, 8):
        produce(topic, list(payloads(0, 100 * number)), number % 2)
    for job in daemons:
        job.result()
    run_all(settings, tmp_path, proxy)
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.smoke
@pytest.mark.timeout(600)
def test_an_old_batch_run_again_during_a_new_one_changes_nothing(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    topic = settings.feeds["trades"].topic
    for number in range(3):
        produce(topic, list(payloads(0, 100 * number)))
    run("plan", settings, tmp_path, proxy)
    Job("ingest", settings, tmp_path, seq=0).result()
    racing = [
        Job("ingest", settings, tmp_path, seq=seq, newer_decoder=seq == 0) for seq in (0, 1, 0, 2)
    ]
    for job in racing:
        job.result()
    run_all(settings, tmp_path, proxy)
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.timeout(600)
def test_writes_whose_answers_are_lost_are_done_once(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """Every kind of write of every stage: the store does it, the client hears nothing."""
    lost: set[str] = set()
    for day in range(2):
        produce(settings.feeds["trades"].topic, list(payloads(day)))
        for stage in STAGES:
            proxy.reset()
            seen: set[str] = set()

            def first(call, seen=seen):
                # The client's own second try goes through.
                new = call.writes and call.step not in seen
                seen.add(call.step)
                return new

            rule = proxy.add(cut_after, first)
            Job(stage, through(settings, proxy), tmp_path).result()
            TALLY.faults += rule.hits
            lost |= {call.step for call in proxy.calls if call.writes}
    assert any(step.startswith("PutObject bronze") for step in lost)
    assert any(step.startswith("PutObject gold") for step in lost)
    assert_lost_and_doubled_nothing(settings, tmp_path)
