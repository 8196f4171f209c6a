"""The sensor that plans batches: it polls offsets and decides, and reads no record."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.ingest.assets import op_name
from stock_pipeline.defs.kafka.health import check_results
from stock_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    from stock_pipeline.lib.batches import Plan
    from stock_pipeline.resources.planner import Attempt, FeedTick, Planner

#: An idle topic is observed this often; a busy one with every plan.
OBSERVE_EVERY_SECONDS = 300.0

FEED_TAG, SEQ_TAG, ATTEMPT_TAG = (
    "stock_pipeline/feed",
    "stock_pipeline/batch",
    "stock_pipeline/attempt",
)


def job_name(feed: str) -> str:
    """Name of the job that ingests one batch of the feed."""
    return f"ingest_{feed.replace('-', '_')}"


ingest_jobs = {
    name: dg.define_asset_job(
        job_name(name),
        selection=dg.AssetSelection.assets(["bronze", name], ["quarantine", name])
        | dg.AssetSelection.checks_for_assets(
            dg.AssetKey(["bronze", name]), dg.AssetKey(["quarantine", name])
        ),
        description=f"Ingest one planned batch of feed {name}.",
        # Attempts are ours: Dagster's own retries would repeat one beside the log.
        tags={"dagster/max_retries": "0", FEED_TAG: name},
    )
    for name in get_settings().feeds
}


@cache
def _planner() -> Planner:
    """The planner of this code server process: its connections and log caches live on."""
    from stock_pipeline.resources.planner import Planner

    return Planner(get_settings())


@cache
def _store_problems() -> tuple[str, ...]:
    """What the store gets wrong of conditional writes (I8); probed once a process."""
    from stock_pipeline.resources.store_probe import probe_conditional_writes

    return tuple(probe_conditional_writes(_planner().lake))


@dg.sensor(
    name="plan_batches",
    jobs=list(ingest_jobs.values()),
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Polls the offsets of every topic, plans a batch where enough records wait or the last "
        "plan is old enough, and asks again for batches without a decision."
    ),
)
def plan_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One tick: plan every feed; the failure of one does not stop the others."""
    from stock_pipeline.resources.aws_errors import AWS_ERRORS
    from stock_pipeline.resources.kafka import KafkaUnavailableError

    settings = get_settings()
    try:
        problems = _store_problems()
        if problems:
            return dg.SensorResult(skip_reason=f"Nothing is planned: {' '.join(problems)}")
        polled = _planner().poll()
    except KafkaUnavailableError as error:
        return dg.SensorResult(skip_reason=str(error))
    except AWS_ERRORS as error:
        return dg.SensorResult(skip_reason=storage_sentence(error))
    memory: dict[str, Any] = json.loads(context.cursor) if context.cursor else {}
    ticks: list[FeedTick] = []
    sentences: list[str] = []
    for name, feed in settings.feeds.items():
        try:
            tick = _planner().tick(
                name, polled[feed.topic], lambda plan: _attempts(context.instance, plan)
            )
        except AWS_ERRORS as error:
            sentences.append(f"{name}: {storage_sentence(error)}")
            continue
        except (KafkaUnavailableError, ValueError) as error:
            sentences.append(f"{name}: {error}")
            continue
        ticks.append(tick)
        sentences.append(f"{name}: {tick.sentence}")
    requests = [_run_request(settings, r.plan, r.attempt) for t in ticks for r in t.requests]
    events = [event for tick in ticks for event in _events(settings, tick, memory)]
    sentence = "; ".join(sentences)
    context.log.info(sentence)
    return dg.SensorResult(
        run_requests=requests or None,
        skip_reason=None if requests else sentence,
        asset_events=events,
        cursor=json.dumps(memory),
    )


def storage_sentence(error: Exception) -> str:
    """What to tell when the lake cannot be reached or refuses."""
    from stock_pipeline.resources.aws_errors import aws_sentence

    return aws_sentence(error, "nothing was planned or lost, the next tick tries again")


def _run_request(settings: Settings, plan: Plan, attempt: int) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=job_name(plan.feed),
        run_key=f"{plan.feed}-{plan.seq}-{attempt}",
        run_config={"ops": {op_name(plan.feed): {"config": {"seq": plan.seq, "attempt": attempt}}}},
        tags={
            FEED_TAG: plan.feed,
            SEQ_TAG: str(plan.seq),
            ATTEMPT_TAG: str(attempt),
            "dagster/max_runtime": str(settings.feeds[plan.feed].deadline_seconds),
        },
    )


def _attempts(instance: dg.DagsterInstance, plan: Plan) -> list[Attempt]:
    from stock_pipeline.resources.planner import Attempt

    records = instance.get_run_records(
        dg.RunsFilter(tags={FEED_TAG: plan.feed, SEQ_TAG: str(plan.seq)})
    )

    def attempt(record: dg.RunRecord) -> Attempt:
        now, run = time.time(), record.dagster_run
        created = record.create_timestamp.timestamp()
        # A queued run has not begun, however long others keep it waiting: it cannot have died.
        started = now if run.status is dg.DagsterRunStatus.QUEUED else created
        ended = record.end_time or now
        return Attempt(
            int(run.tags[ATTEMPT_TAG]),
            datetime.fromtimestamp(started, UTC).replace(tzinfo=None),
            datetime.fromtimestamp(ended, UTC).replace(tzinfo=None) if run.is_finished else None,
        )

    return [attempt(record) for record in records]


def _events(
    settings: Settings, tick: FeedTick, memory: dict[str, Any]
) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation]:
    """Observation of a busy or long unobserved topic; check results that changed.

    An event a tick and topic would be 70,000 rows a day in Dagster's event log.
    """
    feed = settings.feeds[tick.feed]
    known = memory.setdefault(tick.feed, {"observed": 0.0, "checks": {}})
    if tick.state is not None:
        for result in check_results(feed, tick.state, tick.offsets):
            verdict = [result.passed, result.description]
            if known["checks"].get(result.check_name) != verdict:
                known["checks"][result.check_name] = verdict
                yield dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(["kafka", feed.topic]),
                    check_name=str(result.check_name),
                    passed=result.passed,
                    severity=result.severity,
                    description=result.description,
                    metadata={},
                )
    now = time.time()
    if tick.offsets and (tick.requests or abs(now - known["observed"]) > OBSERVE_EVERY_SECONDS):
        known["observed"] = now
        yield dg.AssetObservation(
            dg.AssetKey(["kafka", feed.topic]), metadata=_observation(settings, tick)
        )


def _observation(settings: Settings, tick: FeedTick) -> dict[str, Any]:
    feed = settings.feeds[tick.feed]
    partitions = tick.offsets.partitions if tick.offsets else {}
    unread = {
        (feed.topic, p): max(o.beginning, tick.state.next_offsets.get(p, 0) if tick.state else 0)
        for p, o in partitions.items()
        if tick.waiting.get(p)
    }
    metadata: dict[str, Any] = {
        "lag": sum(tick.waiting.values()),
        "end_offsets": {str(p): o.end for p, o in sorted(partitions.items())},
        "beginning_offsets": {str(p): o.beginning for p, o in sorted(partitions.items())},
        "tick": tick.sentence,
    }
    if unread:
        retention = feed.retention_minutes * 60.0
        oldest = min(_planner().kafka.oldest_timestamps(unread, retention).values())
        metadata["seconds_until_retention_deletes_unread"] = round(
            max(0.0, oldest + retention - time.time())
        )
    return metadata
