"""The pipeline's steps as jobs, each a process of its own that is forked with all imports done.

The functions below the Dagster assets are called as the assets call them; `test_kill.py` kills real
runs of Dagster.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import botocore.loaders

# Imported before the fork, used after it: no client, connection or thread is made here.
import confluent_kafka  # noqa: F401
import duckdb  # noqa: F401
import exchange_calendars  # noqa: F401
import kafka
import kafka.admin  # noqa: F401
import pyarrow.dataset  # noqa: F401

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.catalogue.athena import AthenaRunner
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.parity import GoldParity
from stock_pipeline.catalogue.query import query
from stock_pipeline.ingest import batch_files
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.lake.store import Lake, aws_client
from stock_pipeline.lib.schemas import tables_of
from stock_pipeline.settings import AwsSettings, Settings, get_settings
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.publish import TableBuilder

#: The steps in the order in which records pass them.
STAGES = ("plan", "ingest", "refresh", "catalogue", "parity")


def plan(settings: Settings, folder: Path) -> int:
    """One tick of the planner for every feed; plans made."""
    planner = Planner(settings)
    polled = planner.poll()
    planned = 0
    for name, feed in settings.feeds.items():
        log = planner.logs[name]
        before = log.state().next_seq
        tick = planner.tick(name, polled[feed.topic], lambda plan: [], force=True)
        assert not tick.problem, tick.problem
        planned += log.state().next_seq - before
        log.write_checkpoint()
    return planned


def ingest(
    settings: Settings, folder: Path, seq: int | None = None, newer_decoder: bool = False
) -> int:
    """A run for each undecided batch, or for the one named; batches."""
    if newer_decoder:
        settings = with_newer_decoder(settings)
    planner = Planner(settings)
    done = 0
    for name, log in planner.logs.items():
        asked = log.state().pending if seq is None else [log.plan_of(seq)]
        for batch in asked:
            assert batch is not None
            run_batch(planner, name, batch, os.getpid(), f"{os.getpid():08d}")
            done += 1
    return done


def with_newer_decoder(settings: Settings) -> Settings:
    """In this process records are decoded otherwise: all but the shortest are rejects."""
    batch_files.DECODER_VERSION = "newer"
    feeds = {
        name: feed.model_copy(update={"max_message_bytes": 10})
        for name, feed in settings.feeds.items()
    }
    return settings.model_copy(update={"feeds": feeds})


def daemon(settings: Settings, folder: Path, ticks: int) -> list[str]:
    """The sensor's ticks on a Dagster storage of its own, and the runs it asks for; sentences."""
    import dagster as dg

    get_settings.cache_clear()
    from stock_pipeline.defs.ingest.attempts import ATTEMPT_TAG, FEED_TAG, SEQ_TAG
    from stock_pipeline_tests.support.location import location

    planner = Planner(settings)
    cursor: str | None = None
    said: list[str] = []
    with dg.instance_for_test() as instance:
        for _ in range(ticks):
            result = location().plan_batches(instance, cursor)
            cursor = result.cursor or cursor
            said.append(getattr(result.skip_reason, "skip_message", result.skip_reason) or "")
            for request in result.run_requests or []:
                name, seq = request.tags[FEED_TAG], int(request.tags[SEQ_TAG])
                plan = planner.logs[name].plan_of(seq)
                assert plan is not None
                attempt = int(request.tags[ATTEMPT_TAG])
                run_batch(planner, name, plan, attempt, f"{os.getpid():08d}")
    return said


def refresh(settings: Settings, folder: Path) -> int:
    """Every due silver and gold partition; partitions made."""
    lake = Lake(settings.aws)
    index = TableIndex(settings, lake, folder / "table_index.sqlite")
    index.catch_up()
    builder = TableBuilder(settings, lake, f"{os.getpid():08d}", index)
    made = 0
    for table, partition in index.due_one_by_one():
        built = builder.build(table, partition)
        assert not built.violations, built.violations
        made += built.etag is not None
    index.close()
    return made


def catalogue(settings: Settings, folder: Path) -> int:
    """Bring the catalogue up to date; differences found."""
    synced = Catalogue(settings, Lake(settings.aws)).sync()
    assert not synced.left, synced.left
    return len(synced.found)


def parity(settings: Settings, folder: Path) -> int:
    """Compare the newest gold partitions with Athena's rows; partitions compared."""
    lake = Lake(settings.aws)
    compared = 0
    for table in tables_of("gold"):
        gold = GoldParity(settings, lake, table, AthenaRunner(settings))
        for partition in gold.newest(1):
            assert not gold.check(partition)
            parity = gold.compare(partition)
            assert not parity.differing, parity
            compared += parity.athena is not None
    return compared


def ask(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """What a person asks of every layer, by DuckDB."""
    sql = 'SELECT count(*) AS rows, sum(price) AS total FROM bronze."trades"'
    return list(query(settings, Lake(settings.aws), sql).to_pylist())


JOBS: dict[str, Callable[..., Any]] = {
    job.__name__: job for job in (plan, ingest, refresh, catalogue, parity, ask, daemon)
}


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        result: What it returned; None when it was killed or failed.
        error: Its error in one line; "" for none.
        killed: Whether a signal ended it.
    """

    result: Any
    error: str
    trace: str
    killed: bool


class Job:
    """A job in a process of its own."""

    def __init__(self, name: str, settings: Settings, folder: Path, **arguments: Any) -> None:
        self._results, results = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_run, args=(results, name, settings, folder, dict(os.environ), arguments)
        )
        self._process.start()
        results.close()

    @property
    def pid(self) -> int:
        """Process to kill or stop."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs, or is stopped."""
        return self._process.is_alive()

    def result(self) -> Any:
        """What it returned.

        Raises:
            AssertionError: It failed.
        """
        ended = self.wait()
        assert not ended.error, ended.trace
        return ended.result

    def wait(self, seconds: float = 300) -> Ended:
        """How it ended.

        Raises:
            TimeoutError: It did not within this time; it was killed.
        """
        try:
            if not self._results.poll(seconds):
                raise TimeoutError(f"a job still runs after {seconds:.0f} s")
            result, error, trace = self._results.recv()
            return Ended(result, error, trace, killed=False)
        except EOFError:
            return Ended(None, "", "", killed=True)
        finally:
            if self._process.is_alive() and not self._results.closed:
                self._process.join(5)
            if self._process.is_alive():
                self._process.kill()
            self._process.join()
            self._results.close()


def _run(
    results: Connection,
    name: str,
    settings: Settings,
    folder: Path,
    environment: dict[str, str],
    arguments: dict[str, Any],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    try:
        answer = (JOBS[name](settings, folder, **arguments), "", "")
    except AWS_ERRORS as error:
        # As the runs of the assets say it.
        answer = (None, aws_sentence(error, "nothing was lost"), traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - the test that waits judges it
        answer = (None, f"{type(error).__name__}: {error}", traceback.format_exc())
    results.send(answer)
    results.close()
    sys.stdout.flush()
    # As a killed process: nothing is tidied up, such as librdkafka's threads.
    os._exit(0)


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])

# Models of the services are parsed once and for all sessions, not in every job.
botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)
for _service in ("s3", "glue", "athena"):
    aws_client(_service, AwsSettings(endpoint_url="http://127.0.0.1:9", bucket="none"))
