"""The sensor that plans batches: it polls offsets and decides, and reads no record."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.defs.ingest.assets import op_name
from stock_pipeline.defs.ingest.attempts import ATTEMPT_TAG, FEED_TAG, SEQ_TAG, BatchRuns
from stock_pipeline.defs.ingest.jobs import ingest_jobs, job_name
from stock_pipeline.defs.kafka.events import topic_events
from stock_pipeline.errors import TemporaryError, UserError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.topics.watch import TopicWatch
from stock_pipeline.lake.probe import probe_conditional_writes
from stock_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    from stock_pipeline.ingest.documents import Plan


@cache
def _planner() -> Planner:
    """The planner of this code server process: its connections and log caches live on."""
    return Planner(get_settings())


@cache
def _watch() -> TopicWatch:
    """What knows the topics' retention, on the planner's connection."""
    return TopicWatch(_planner().kafka)


@cache
def _store_problems() -> tuple[str, ...]:
    """What the store gets wrong of conditional writes (I8); probed once a process."""
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
    settings = get_settings()
    try:
        problems = _store_problems()
        if problems:
            return dg.SensorResult(skip_reason=f"Nothing is planned: {' '.join(problems)}")
        polled = _planner().poll()
    except (UserError, TemporaryError) as error:
        return dg.SensorResult(skip_reason=str(error))
    except AWS_ERRORS as error:
        return dg.SensorResult(skip_reason=storage_sentence(error))
    memory: dict[str, Any] = json.loads(context.cursor) if context.cursor else {}
    requests: list[dg.RunRequest] = []
    events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = []
    sentences: list[str] = []
    for name, feed in settings.feeds.items():
        runs, log = BatchRuns(context.instance), _planner().logs[name]
        try:
            tick = _planner().tick(name, polled[feed.topic], runs.attempts)
            requests += [_run_request(settings, r.plan, r.attempt) for r in tick.requests]
            changed = runs.topic_changed(tick.state.incarnation if tick.state else 1)
            sentences.append(f"{name}: {'; '.join(filter(None, [tick.sentence, changed]))}")
            known = memory.setdefault(name, {})
            events += topic_events(_watch(), log, feed, tick, changed, known)
        except AWS_ERRORS as error:
            sentences.append(f"{name}: {storage_sentence(error)}")
        except (UserError, TemporaryError) as error:
            sentences.append(f"{name}: {error}")
        except Exception as error:
            # Whatever it is, it is this feed's: the others must not wait for its cure.
            context.log.exception("Feed %s was not planned.", name)
            sentences.append(f"{name}: not planned ({type(error).__name__}: {error})")
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
