"""Runs that a person cancels, that pass their deadline, or whose code server goes away.

The AWS emulator is behind a proxy, so that a run can be stopped between any two of its externally
visible steps. Every case has a feed of its own.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import SCHEDULE_NAME_TAG

from stock_pipeline_tests.faults.running.feeds import DECIDED, SMOKE, STEPS
from stock_pipeline_tests.faults.running.running_dagster import (
    RELOAD,
    Hold,
    RunningDagster,
    hold,
    offsets_by_object,
    patiently,
)
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.trades import trade

#: The first is a reject: it is in the first batch, however little of the rest has arrived by then.
RECORDS = [b"{"] + [trade(n) for n in range(19)]


def held_run(dagster: RunningDagster, feed: str, held: Hold) -> str:
    """The first run of the feed's first batch, held at its step."""
    patiently(held.arrived.is_set, f"{feed}: the step")
    return dagster.runs(feed=feed, batch="0")[0].dagster_run.run_id


def hold_at(proxy: FaultProxy, feed: str) -> Hold:
    operation, key, after = STEPS[feed if feed in STEPS else "before-decision"]
    return hold(proxy, operation, key.format(feed=feed), after=after)


def every_offset_is_seen_once(dagster: RunningDagster, feed: str, records: int) -> None:
    patiently(lambda: dagster.is_drained(feed, records), f"{feed}: decided")
    assert offsets_by_object(dagster, feed) == list(range(records))
    decisions = [commit.decision for commit in dagster.commits(feed)]
    assert all(decision.balanced for decision in decisions)
    rejects = records // len(RECORDS)
    assert sum(decision.rejects for decision in decisions) == rejects
    assert sum(decision.rows for decision in decisions) == records - rejects


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("feeds", [pytest.param([SMOKE], marks=pytest.mark.smoke), list(STEPS)])
def test_a_run_cancelled_in_the_ui_at_any_step_shows_nothing_half_and_its_batch_comes_again(
    feeds: list[str], dagster: RunningDagster, dagster_proxy: FaultProxy, produce
):
    holds = {feed: hold_at(dagster_proxy, feed) for feed in feeds}
    for feed in feeds:
        produce(dagster.settings.feeds[feed].topic, RECORDS)
    runs: dict[str, str] = {}

    def cancel_what_is_held() -> bool:
        for feed in set(feeds) - runs.keys():
            if holds[feed].arrived.is_set():
                runs[feed] = dagster.runs(feed=feed, batch="0")[0].dagster_run.run_id
                dagster.terminate(runs[feed])
                # What readers see: all of the batch once its object is there, nothing before.
                decided = feed in DECIDED
                assert bool(dagster.keys(f"bronze/{feed}/")) == decided
                holds[feed].let_go.set()
        return len(runs) == len(feeds)

    patiently(cancel_what_is_held, "a run at each step")
    for feed, run in runs.items():
        patiently(lambda run=run: dagster.status(run) == "CANCELED", f"{feed}: cancelled")
        every_offset_is_seen_once(dagster, feed, len(RECORDS))
        # A PUT that was under way when its run was cancelled reaches the store all the same.
        if "commit" not in feed:
            assert len(dagster.runs(feed=feed, batch="0")) >= 2, feed


@pytest.mark.timeout(1500)
def test_a_run_past_its_deadline_is_ended_by_run_monitoring_and_asked_for_again(
    dagster: RunningDagster, dagster_proxy: FaultProxy, produce
):
    # Every attempt is held, so that none can end by itself before its deadline.
    held = hold(dagster_proxy, "PutObject", "^bronze/deadline/")
    produce(dagster.settings.feeds["deadline"].topic, RECORDS)
    patiently(lambda: dagster.runs(feed="deadline", batch="0"), "a run")
    run = dagster.runs(feed="deadline", batch="0")[0].dagster_run.run_id
    # Dagster calls it a failure, or cancelled when the run's process tells of its end last.
    patiently(lambda: dagster.status(run) in {"FAILURE", "CANCELED"}, "the deadline of 10 s")
    assert "exceeding maximum runtime of 10 seconds" in dagster.said_of(run)
    pid = dagster.pid_of(run)
    patiently(lambda: not Path(f"/proc/{pid}").exists(), "the end of the run's process")
    assert not dagster.keys("bronze/deadline/")
    held.let_go.set()
    every_offset_is_seen_once(dagster, "deadline", len(RECORDS))
    assert len(dagster.runs(feed="deadline", batch="0")) >= 2


def refreshes(dagster: RunningDagster) -> list[dg.DagsterRun]:
    """Runs that a due table asked for, oldest first; not those after an exchange's close."""
    runs = [record.dagster_run for record in dagster.runs(refresh="true")]
    return [run for run in runs if SCHEDULE_NAME_TAG not in run.tags]


@pytest.mark.timeout(1500)
def test_a_refresh_cancelled_in_the_ui_shows_nothing_half_and_is_requested_again(
    dagster: RunningDagster, dagster_proxy: FaultProxy, produce
):
    day = "trade_date=2025-06-02"
    start = int(datetime(2025, 6, 2, 12, tzinfo=UTC).timestamp() * 1000)
    before = hold(dagster_proxy, "PutObject", f"^silver/bars_intraday/{day}/")
    produce(
        dagster.settings.feeds["refreshed"].topic,
        [trade(n, time=start + n * 60_000) for n in range(30)],
    )
    patiently(before.arrived.is_set, "a refresh at its first PUT")
    after = hold(dagster_proxy, "PutObject", f"^gold/volatility_intraday/{day}/", after=True)
    for held in (before, after):
        patiently(held.arrived.is_set, "a refresh")
        run = refreshes(dagster)[-1].run_id
        dagster.terminate(run)
        assert bool(dagster.keys(f"silver/bars_intraday/{day}/")) == (held is after)
        assert bool(dagster.keys(f"gold/volatility_intraday/{day}/")) == (held is after)
        held.let_go.set()
        patiently(lambda run=run: dagster.status(run) == "CANCELED", "the cancelled refresh")

    def is_made() -> bool:
        last = refreshes(dagster)[-1]
        return last.run_id != run and last.status.value == "SUCCESS"

    patiently(is_made, "another refresh")
    (silver,) = dagster.keys(f"silver/bars_intraday/{day}/")
    assert sum(dagster.lake.read_table(silver)[0]["volume"].to_pylist()) == 30
    assert len(dagster.keys(f"gold/volatility_intraday/{day}/")) == 1


@pytest.mark.timeout(1500)
def test_the_code_server_may_be_reloaded_or_killed_during_a_run(
    dagster: RunningDagster, dagster_proxy: FaultProxy, produce
):
    reloaded = hold_at(dagster_proxy, "reloaded")
    produce(dagster.settings.feeds["reloaded"].topic, RECORDS)
    run = held_run(dagster, "reloaded", reloaded)
    dagster.graphql(RELOAD)
    reloaded.let_go.set()
    patiently(lambda: dagster.status(run) == "SUCCESS", "the run of the old code server")
    every_offset_is_seen_once(dagster, "reloaded", len(RECORDS))

    killed = hold_at(dagster_proxy, "killed-server")
    produce(dagster.settings.feeds["killed-server"].topic, RECORDS)
    run = held_run(dagster, "killed-server", killed)
    # The one before the reload ends when its runs have.
    patiently(lambda: len(dagster.processes_of("dagster api grpc")) == 1, "a single code server")
    (server,) = dagster.processes_of("dagster api grpc")
    os.kill(server, signal.SIGKILL)
    killed.let_go.set()
    produce(dagster.settings.feeds["killed-server"].topic, RECORDS)
    every_offset_is_seen_once(dagster, "killed-server", 2 * len(RECORDS))
    assert server not in dagster.processes_of("dagster api grpc")
