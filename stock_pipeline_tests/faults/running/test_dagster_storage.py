"""Dagster's storage deleted or locked: the offset log alone knows how far every feed is (I4)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from stock_pipeline_tests.faults.running.running_dagster import (
    RunningDagster,
    hold,
    offsets_by_object,
    patiently,
)
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.trades import trade


def databases(home: Path) -> list[Path]:
    """SQLite files of runs, events and schedules."""
    return [f for f in home.rglob("*.db") if "compute_logs" not in f.parts]


@contextmanager
def locked(files: list[Path]) -> Iterator[None]:
    """Nobody else can write, or begin to read, any of them."""
    with ExitStack() as stack:
        for file in files:
            connection = stack.enter_context(closing(sqlite3.connect(file, timeout=60)))
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.timeout(1500)
def test_a_locked_database_delays_batches_and_loses_none(
    dagster: RunningDagster, dagster_proxy: FaultProxy, produce
):
    topic = dagster.settings.feeds["locked"].topic
    held = hold(dagster_proxy, "PutObject", "^bronze/locked/")
    produce(topic, [trade(n) for n in range(10)])
    patiently(held.arrived.is_set, "a run before its decision")
    logged = dagster.supervisor.child("dagster").log
    before = logged.read_text().count("database is locked")
    with locked(databases(dagster.home)):
        held.let_go.set()
        produce(topic, [trade(n) for n in range(10, 20)])

        def was_met() -> bool:
            return logged.read_text().count("database is locked") > before

        patiently(was_met, "somebody who meets the lock")
    patiently(lambda: dagster.is_drained("locked", 20), "everything decided")
    assert offsets_by_object(dagster, "locked") == list(range(20))


@pytest.mark.timeout(1500)
def test_dagsters_storage_deleted_under_a_run_loses_no_progress(
    dagster: RunningDagster, dagster_proxy: FaultProxy, produce
):
    topic = dagster.settings.feeds["deleted"].topic
    produce(topic, [trade(n) for n in range(10)])
    patiently(lambda: dagster.is_drained("deleted", 10), "a first batch")

    held = hold(dagster_proxy, "PutObject", "^bronze/deleted/")
    produce(topic, [trade(n) for n in range(10, 20)])
    patiently(held.arrived.is_set, "a run before its decision")
    delete_storage(dagster.home)
    held.let_go.set()
    produce(topic, [trade(n) for n in range(20, 30)])
    # It answers "no such table" from now on; a person starts it again, with an empty storage.
    dagster.stop()
    delete_storage(dagster.home)
    dagster.start()
    patiently(lambda: dagster.is_drained("deleted", 30), "everything decided")
    assert offsets_by_object(dagster, "deleted") == list(range(30))

    # Sequence numbers went on: nothing was planned twice.
    seqs = [commit.decision.plan.seq for commit in dagster.commits("deleted")]
    assert seqs == list(range(len(seqs)))


def delete_storage(home: Path) -> None:
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
