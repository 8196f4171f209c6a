"""Many batches of mutated payloads in worker processes, and the figures of what came of them."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache

from stock_pipeline_tests.fuzz.mutate import Mutator
from stock_pipeline_tests.fuzz.properties import BrokenError, Subject
from stock_pipeline_tests.support.records import records

#: A batch takes a tenth of a second; a process that sits over one for so long hangs.
HANG_SECONDS = 300
#: A variable that kills the process at this seed: how the tests see that a crash is counted.
DIE_AT = "STOCK_PIPELINE_FUZZ_DIE_AT"


@dataclass(frozen=True)
class BatchResult:
    """What became of one batch."""

    payloads: int
    accepted: int
    rejected: int
    rows: int
    failure: str | None
    peak_mebibytes: int


@dataclass
class Result:
    """The figures of a campaign."""

    payloads: int = 0
    accepted: int = 0
    rejected: int = 0
    rows: int = 0
    crashes: int = 0
    peak_mebibytes: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Records that are neither in rows nor in a reject."""
        return self.payloads - self.accepted - self.rejected

    def add(self, batch: BatchResult) -> None:
        """Count a batch."""
        self.payloads += batch.payloads
        self.accepted += batch.accepted
        self.rejected += batch.rejected
        self.rows += batch.rows
        self.peak_mebibytes = max(self.peak_mebibytes, batch.peak_mebibytes)
        if batch.failure:
            self.failures.append(batch.failure)

    def summary(self) -> str:
        """One line for the end of a run."""
        return (
            f"fuzz: payloads {self.payloads:,}, accepted {self.accepted:,} ({self.rows:,} rows), "
            f"rejected {self.rejected:,}, lost {max(0, self.lost):,}, "
            f"doubled {max(0, -self.lost):,}, crashes and hangs {self.crashes}, "
            f"broken properties {len(self.failures) - self.crashes}, "
            f"peak {self.peak_mebibytes:,} MiB, {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class Campaign:
    """How much to try.

    Attributes:
        payloads: Over all formats.
        formats: Message formats, in turn.
        first_seed: Of the first batch; every batch takes the next.
        batch: Payloads in one batch.
        workers: Processes; 0 runs in this one.
    """

    payloads: int
    formats: tuple[str, ...]
    first_seed: int = 0
    batch: int = 400
    workers: int = 2

    def jobs(self) -> Iterator[tuple[str, int, int]]:
        """(format, seed, payloads) of each batch."""
        left, seed = self.payloads, self.first_seed
        while left > 0:
            yield self.formats[seed % len(self.formats)], seed, min(self.batch, left)
            left -= self.batch
            seed += 1

    def run(self, on_batch: Callable[[int], None] = lambda _: None) -> Result:
        """Run all batches.

        Args:
            on_batch: Called with the number of payloads after each batch.
        """
        result, started = Result(), time.monotonic()
        batches = self._in_processes(result) if self.workers else (run(*j) for j in self.jobs())
        for batch in batches:
            result.add(batch)
            on_batch(batch.payloads)
        result.seconds = time.monotonic() - started
        return result

    def _in_processes(self, result: Result) -> Iterator[BatchResult]:
        """Batches in processes; one that kills its process is named and the rest go on."""
        jobs, retry = self.jobs(), []
        while True:
            with self._pool() as pool:
                waiting: dict[Future[BatchResult], tuple[str, int, int]] = {}
                while True:
                    while len(waiting) < 2 * self.workers and (job := next(jobs, None)):
                        waiting[pool.submit(run, *job)] = job
                    if not waiting:
                        break
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    if any(isinstance(f.exception(), BrokenProcessPool) for f in done):
                        retry = list(waiting.values())
                        break
                    for future in done:
                        del waiting[future]
                        yield future.result()
            if not retry:
                return
            # One of these did it: each alone tells which.
            for job in retry:
                yield from self._alone(job, result)
            retry = []

    def _alone(self, job: tuple[str, int, int], result: Result) -> Iterator[BatchResult]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            try:
                yield pool.submit(run, *job).result()
            except BrokenProcessPool:
                result.crashes += 1
                format_, seed, count = job
                result.failures.append(
                    f"{format_}: the process died or hung over seed {seed}; again with --format "
                    f"{format_} --seed {seed} --payloads {count} --batch {count} --workers 0"
                )

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"))


@cache
def _subject(format_: str) -> Subject:
    return Subject(format_)


def run(format_: str, seed: int, count: int) -> BatchResult:
    """One batch: made from its seed, decoded in several ways, judged."""
    if os.environ.get(DIE_AT) == str(seed):
        os.abort()
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    payloads = Mutator(format_, seed).payloads(count)
    table, subject = records(payloads), _subject(format_)
    accepted = rejected = rows = 0
    failure = None
    try:
        decoded = subject.decode(table)
        accepted = len(set(decoded.rows["kafka_offset"].to_pylist()))
        rejected = decoded.rejects["partial"].to_pylist().count(False)
        rows = decoded.rows.num_rows
        subject.judge(payloads, table, decoded, seed)
    except BrokenError as error:
        failure = f"{format_}, seed {seed}: {error}"
    except Exception as error:  # noqa: BLE001 - any error at all is a finding
        failure = f"{format_}, seed {seed}: {type(error).__name__}: {error!s:.500}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return BatchResult(count, accepted, rejected, rows, failure, peak)
