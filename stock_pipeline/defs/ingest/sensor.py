"""The sensor that plans batches: it polls offsets and decides, and reads no record."""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.defs.ingest.assets import op_name
from stock_pipeline.defs.ingest.attempts import ATTEMPT_TAG, FEED_TAG, SEQ_TAG, BatchRuns
from stock_pipeline.defs.ingest.jobs import job_name
from stock_pipeline.defs.kafka.events import topic_events
from stock_pipeline.defs.planning import Planning, kept_planning
from stock_pipeline.defs.resources import KafkaResource, LakeResource
from stock_pipeline.errors import TemporaryError, UserError
from stock_pipeline.ingest.documents import Plan
from stock_pipeline.kafka.control import PolledTopics
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import Settings


def planning_sensor(
    settings: Settings,
    jobs: Sequence[Any],
    clock: Clock = system_clock,
) -> dg.SensorDefinition:
    """The sensor `plan_batches`.

    Args:
        settings: Name the feeds.
        jobs: The asset jobs that ingest one batch each, by the names of `job_name`.
        clock: Dates plans, and says which attempts are late.
    """

    @dg.sensor(
        name="plan_batches",
        jobs=jobs,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Polls the offsets of every topic, plans a batch where enough records wait or the last "
            "plan is old enough, and asks again for batches without a decision."
        ),
    )
    def plan_batches(
        context: dg.SensorEvaluationContext, kafka: KafkaResource, lake: LakeResource
    ) -> dg.SensorResult:
        try:
            planning = kept_planning(settings, kafka, lake, clock)
            if problems := planning.store.problems():
                return dg.SensorResult(skip_reason=f"Nothing is planned: {' '.join(problems)}")
            polled = planning.planner.poll()
        except (UserError, TemporaryError) as error:
            return dg.SensorResult(skip_reason=str(error))
        except AWS_ERRORS as error:
            return dg.SensorResult(skip_reason=storage_sentence(error))
        return _tick(context, planning, polled)

    return plan_batches


def _tick(
    context: dg.SensorEvaluationContext, planning: Planning, polled: PolledTopics
) -> dg.SensorResult:
    """Plan every feed; the failure of one does not stop the others."""
    planner = planning.planner
    memory: dict[str, Any] = json.loads(context.cursor) if context.cursor else {}
    requests: list[dg.RunRequest] = []
    events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = []
    sentences: list[str] = []
    for name, feed in planner.settings.feeds.items():
        runs, log = BatchRuns(context.instance, planner.clock), planner.logs[name]
        try:
            tick = planner.tick(name, polled[feed.topic], runs.attempts)
            requests += [_run_request(planner.settings, r.plan, r.attempt) for r in tick.requests]
            changed = runs.topic_changed(tick.state.incarnation if tick.state else 1)
            sentences.append(f"{name}: {'; '.join(filter(None, [tick.sentence, changed]))}")
            known = memory.setdefault(name, {})
            now = planner.clock().timestamp()
            events += topic_events(planning.watch, log, feed, tick, changed, known, now)
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
