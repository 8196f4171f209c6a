"""A store that refuses, breaks off, hangs, is full or slow, or no longer knows our credentials."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings
from stock_pipeline_tests.faults.calls import Call
from stock_pipeline_tests.faults.jobs import STAGES, Ended, Job
from stock_pipeline_tests.faults.killing import (
    Point,
    payloads,
    run,
    run_all,
    settings_of,
    through,
)
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.faults.truth import (
    assert_every_offset_once,
    assert_lost_and_doubled_nothing,
)
from stock_pipeline_tests.support.fault_kinds import (
    PASSING,
    answer,
    cut_before,
    cut_within,
    hang,
)
from stock_pipeline_tests.support.proxy import Fault, FaultProxy
from stock_pipeline_tests.support.stack import Produce

CONFLICT = answer(409, "ConditionalRequestConflict")


@dataclass(frozen=True)
class Lasting:
    """A fault that does not end, of all requests or of those that write.

    Attributes:
        says: What a person reads of it.
    """

    fault: Fault
    says: str
    writes_only: bool = False
    skip: int = 0
    hangs: bool = False

    def befalls(self, call: Call) -> bool:
        return call.writes or not self.writes_only


def lasting(over: threading.Event) -> list[Lasting]:
    return [
        Lasting(answer(500, "InternalError"), "with InternalError", writes_only=True),
        Lasting(answer(503, "SlowDown"), "with SlowDown"),
        Lasting(answer(403, "AccessDenied"), "does not allow", writes_only=True),
        Lasting(answer(507, "InsufficientStorage"), "InsufficientStorage", writes_only=True),
        Lasting(answer(400, "EntityTooLarge"), "EntityTooLarge", writes_only=True),
        Lasting(answer(400, "ExpiredToken"), "does not accept the credentials", skip=3),
        Lasting(cut_before, "cannot be reached or does not answer"),
        Lasting(
            hang(over, store_does_it=False), "cannot be reached or does not answer", hangs=True
        ),
    ]


@pytest.fixture
def settings(settings_for, lake, broker) -> Settings:
    return settings_of(settings_for, aws={"request_timeout_seconds": 20})


def once_a_step(stage: str, faults: Callable[[], Fault]) -> Fault:
    """The first request of each step meets the next fault, later ones none."""
    seen: set[Point] = set()

    def fault(exchange) -> None:
        call = exchange.call
        step = Point.before(stage, call)
        if step in seen:
            exchange.reply(exchange.forward())
            return
        seen.add(step)
        TALLY.faults += 1
        chosen = faults()
        # S3 conflicts only over conditional writes.
        conditional = call.header("If-None-Match") or call.header("If-Match")
        if call.operation == "PutObject" and conditional and len(seen) % 2:
            chosen = CONFLICT
        chosen(exchange)

    return fault


@pytest.mark.timeout(600)
def test_faults_that_pass_are_ridden_out_at_every_step(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    kinds = cycle(PASSING.values())
    for day in range(2):
        produce(settings.feeds["trades"].topic, list(payloads(day)))
        for stage in (*STAGES, "ask"):
            proxy.reset()
            # A client waits about half a second before it tries again: only the second time.
            if day:
                proxy.add(once_a_step(stage, lambda: next(kinds)))
            Job(stage, through(settings, proxy), tmp_path).result()
    assert_lost_and_doubled_nothing(settings, tmp_path)


def versions(settings: Settings) -> dict[str, str]:
    """Everything in the lake but what no reader looks at."""
    return {
        entry.key: entry.etag
        for entry in Lake(settings.aws).list("")
        if not entry.key.startswith(("_quarantine_attempts/", "_athena_results/"))
    }


@pytest.mark.timeout(600)
def test_faults_that_last_are_said_in_a_sentence_and_nothing_is_half_done(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    """All at once: each stage behind a broken store of each kind, then everything is mended."""
    topic = settings.feeds["trades"].topic
    # Something to plan, something to ingest, something to refresh.
    for stages in (("plan", "ingest"), ("plan",), ()):
        produce(topic, list(payloads(len(stages), 100 * len(stages))))
        for stage in stages:
            run(stage, settings, tmp_path, proxy)
    before = versions(settings)
    # Five tries of the usual twenty seconds each would be minutes, where the store says nothing.
    impatient = settings.model_copy(
        update={"aws": settings.aws.model_copy(update={"request_timeout_seconds": 1.0})}
    )
    over = threading.Event()
    ended: list[tuple[str, Lasting, Ended]] = []
    with ExitStack() as stack:
        stack.callback(over.set)
        jobs = []
        for number, broken in enumerate(lasting(over)):
            worse = stack.enter_context(FaultProxy(proxy.upstream_url))
            rule = worse.add(broken.fault, broken.befalls, skip=broken.skip)
            for stage in ("plan", "ingest", "refresh"):
                folder = tmp_path / f"{stage}-{number}"
                folder.mkdir()
                chosen = impatient if broken.hangs else settings
                job = Job(stage, through(chosen, worse), folder)
                jobs.append((stage, broken, rule, job))
        for stage, broken, _, job in jobs:
            ended.append((stage, broken, job.wait()))
        TALLY.faults += sum({id(rule): rule.hits for _, _, rule, _ in jobs}.values())
    for stage, broken, how in ended:
        assert not how.killed
        assert broken.says in how.error, (stage, broken.says, how.error, how.trace)
        assert "nothing was lost" in how.error
    assert versions(settings) == before
    run_all(settings, tmp_path, proxy)
    assert_lost_and_doubled_nothing(settings, tmp_path)


@pytest.mark.smoke
@pytest.mark.timeout(300)
def test_the_planner_says_what_the_store_refuses_and_goes_on_when_it_is_mended(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path, monkeypatch
):
    produce(settings.feeds["trades"].topic, list(payloads(0)))
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", proxy.url)
    refused = proxy.add(answer(403, "AccessDenied"), operation="PutObject", key="/plan/")
    behind = through(settings, proxy)
    (said,) = Job("daemon", behind, tmp_path, ticks=1).result()
    assert "does not allow s3:PutObject" in said
    assert "nothing was planned or lost" in said
    assert refused.hits == 1
    proxy.mend()
    Job("daemon", behind, tmp_path, ticks=1).result()
    assert_every_offset_once(settings)


@pytest.mark.timeout(300)
def test_a_question_to_a_broken_store_is_answered_or_refused_in_a_sentence(
    settings: Settings, proxy: FaultProxy, produce: Produce, tmp_path: Path
):
    produce(settings.feeds["trades"].topic, list(payloads(0)))
    run_all(settings, tmp_path, proxy)
    whole = run("ask", settings, tmp_path, proxy).result
    for fault in (answer(503, "SlowDown"), answer(403, "AccessDenied"), cut_before, cut_within):
        proxy.reset()
        rule = proxy.add(fault, operation="GetObject|HeadObject", times=1)
        ended = Job("ask", through(settings, proxy), tmp_path).wait()
        TALLY.faults += rule.hits
        assert rule.hits == 1
        assert ended.result == whole or ended.error, ended
        assert "\n" not in ended.error
