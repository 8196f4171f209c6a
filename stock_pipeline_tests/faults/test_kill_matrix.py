"""Killed between any two steps that somebody outside could see, and at random (I3)."""

from __future__ import annotations

import os
import random
from itertools import count
from pathlib import Path

import pytest

from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.history.store import tell_changed
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings
from stock_pipeline.stack.provision import ensure_workgroup
from stock_pipeline_tests.faults.jobs import STAGES
from stock_pipeline_tests.faults.killing import (
    FEEDS,
    KillMatrix,
    Point,
    RandomKills,
    payloads,
    run,
    run_all,
)
from stock_pipeline_tests.faults.load import repeating
from stock_pipeline_tests.faults.truth import (
    assert_equal_to_a_run_without_faults,
    assert_every_offset_once,
    assert_lost_and_doubled_nothing,
)
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.stack import Produce

SEED = 20261121
RANDOM_KILLS = int(os.environ.get("STOCK_PIPELINE_KILLS", "200"))
#: Of `make test`.
FEW_KILLS = 10
#: After so many rounds without a kill the points that are left cannot be reached.
MOST_IDLE_ROUNDS = 3


def produce_a_day(settings: Settings, lake: Lake, produce: Produce, day: int) -> None:
    """Something to do for every stage."""
    for partition in range(2):
        produce(settings.feeds["trades"].topic, list(payloads(day, 100 * partition)), partition)
    # Landed objects are listed only when they are said to have changed.
    tell_changed(lake)


@pytest.mark.smoke
def test_killed_once_in_each_stage_it_loses_and_doubles_nothing(
    settings: Settings, lake: Lake, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """One point of the matrix a stage, for `make test`."""
    matrix = KillMatrix(settings, tmp_path, proxy, random.Random(SEED))
    for day in range(5):
        produce_a_day(settings, lake, produce, day)
        matrix.round(most_a_stage=1)
        assert_every_offset_once(settings)
        if {point.stage for point in matrix.done} == set(STAGES):
            break
    else:
        pytest.fail(f"never killed in {set(STAGES) - {point.stage for point in matrix.done}}")
    assert_equal_to_a_run_without_faults(settings, tmp_path / "undisturbed")


@pytest.mark.timeout(1200)
def test_killed_between_any_two_steps_it_loses_and_doubles_nothing(
    settings: Settings, lake: Lake, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """The points are what the stages were seen to do, so that a new step is covered by itself."""
    matrix = KillMatrix(settings, tmp_path, proxy, random.Random(SEED))
    idle = 0
    for day in count():
        produce_a_day(settings, lake, produce, day)
        idle = 0 if matrix.round() else idle + 1
        assert_every_offset_once(settings)
        if idle and not matrix.left:
            break
        assert idle < MOST_IDLE_ROUNDS, f"never killed {', '.join(map(str, matrix.left))}"
    stages = {point.stage for point in matrix.done}
    assert stages == set(STAGES)
    assert_equal_to_a_run_without_faults(settings, tmp_path / "undisturbed")


@pytest.mark.timeout(1200 + 20 * RANDOM_KILLS)
@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        pytest.param(SEED, FEW_KILLS, marks=pytest.mark.smoke),
        # Two halves, for two workers.
        (SEED, RANDOM_KILLS // 2),
        (SEED + 1, RANDOM_KILLS - RANDOM_KILLS // 2),
    ],
)
def test_killed_at_random_under_load_it_loses_and_doubles_nothing(
    seed: int, kills: int, settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    killer = RandomKills(settings, tmp_path, proxy, random.Random(seed))
    killed, topic = 0, settings.feeds["trades"].topic

    def send(number: int) -> None:
        """A new day every few seconds."""
        produce(topic, list(payloads(number // 20, number, count=3)), number % 2)

    with repeating(send, seconds=0.2):
        for rounds in count(1):
            killed += killer.round()
            if rounds % 10 == 0:
                assert_every_offset_once(settings, drained=False)
            if killed >= kills:
                break
    run_all(settings, tmp_path, proxy)
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.timeout(600)
def test_killed_during_a_crawl_the_catalogue_is_that_of_the_lake_in_the_end(
    settings_for, lake, stack, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """With the crawler: it goes on by itself when the one that started it is dead."""
    settings = settings_for(FEEDS)
    ensure_workgroup(settings)
    produce(settings.feeds["trades"].topic, list(payloads(0)))
    for stage in ("plan", "ingest", "refresh"):
        run(stage, settings, tmp_path, proxy)
    for step, after in (
        ("CreateCrawler", True),
        ("StartCrawler", False),
        ("StartCrawler", True),
        ("GetCrawler", False),
    ):
        point = Point("catalogue", step, after)
        assert run("catalogue", settings, tmp_path, proxy, point.is_at, after=after).killed
    run("catalogue", settings, tmp_path, proxy)
    assert Catalogue(settings, lake).differences() == {}
    assert run("parity", settings, tmp_path, proxy).result == 3
