"""Bronze and quarantine: what one batch of a feed became.

Without postponed annotations: Dagster reads the config's type from the function itself.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.ingest.metadata import (
    bronze_metadata,
    quarantine_metadata,
    reread_sentence,
)
from stock_pipeline.defs.planning import new_planning
from stock_pipeline.defs.resources import KafkaResource, LakeResource
from stock_pipeline.defs.shared.columns import table_schema
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, topic_key
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.rejects.rereads import outcome
from stock_pipeline.ingest.run import ingest_what_waits, planned, run_batch
from stock_pipeline.ingest.topics.losses import loss_sentences
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.records import QUARANTINE_COLUMNS
from stock_pipeline.settings import Settings

if TYPE_CHECKING:
    from stock_pipeline.ingest.decide import Ingested

#: Share of rejected offsets in a batch above which the quarantine check warns.
REJECT_SHARE_TO_WARN = 0.05

#: On a run that found another topic than the one that was read: how it told.
TOPIC_CHANGED_TAG = "stock_pipeline/topic_changed"


class BatchConfig(dg.Config):
    """Which batch to ingest; empty to plan and ingest now what is waiting."""

    seq: int | None = None
    attempt: int = 1


def op_name(feed: str) -> str:
    """Name of the feed's ingest op: Dagster allows no '-' in it."""
    return f"batch_of_{feed.replace('-', '_')}"


def ingest_assets(
    settings: Settings, name: str, clock: Clock = system_clock
) -> dg.AssetsDefinition:
    """The assets `bronze/<feed>` and `quarantine/<feed>`, made by one op.

    Args:
        settings: Hold the feed.
        name: Of the feed.
        clock: Dates plans and commits.
    """
    feed = settings.feeds[name]
    bronze, quarantine = dg.AssetKey(["bronze", name]), dg.AssetKey(["quarantine", name])

    @dg.multi_asset(
        name=op_name(name),
        specs=[
            dg.AssetSpec(
                bronze,
                deps=[topic_key(feed)],
                group_name="bronze",
                kinds={"parquet", "s3"},
                owners=OWNERS,
                description=(
                    f"Grain: {FORMATS[feed.format].row}, as it arrived and typed. Source: topic "
                    f"`{feed.topic}`, each offset exactly once. One batch is one immutable object. "
                    f"Consumer: silver {' and '.join(FORMATS[feed.format].grain.silver)}."
                ),
                metadata={
                    "dagster/column_schema": table_schema(FORMATS[feed.format].grain.columns)
                },
            ),
            dg.AssetSpec(
                quarantine,
                deps=[topic_key(feed)],
                group_name="quarantine",
                kinds={"parquet", "s3"},
                owners=OWNERS,
                description=(
                    "Grain: one record that could not be decoded, or a bad bar of a good document, "
                    "with its bytes, coordinates and reason. Consumer: people, and the replay "
                    "after a decoder was mended."
                ),
                metadata={"dagster/column_schema": table_schema(QUARANTINE_COLUMNS)},
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "offsets_accounted_for",
                asset=bronze,
                blocking=True,
                description="accepted + rejected + holes + lost = length of the range (I6).",
            ),
            dg.AssetCheckSpec(
                "nothing_lost",
                asset=bronze,
                description="Retention deleted no offset of the batch before it was read.",
            ),
            dg.AssetCheckSpec(
                "few_rejects",
                asset=quarantine,
                description=f"At most {REJECT_SHARE_TO_WARN:.0%} of the records were rejected.",
            ),
        ],
        op_tags={"stock_pipeline/feed": name},
    )
    def ingest_feed(
        context: dg.AssetExecutionContext,
        config: BatchConfig,
        kafka: KafkaResource,
        lake: LakeResource,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:

        with (
            explained("a batch without decision stays planned and is asked for again by itself"),
            closing(new_planning(settings, kafka, lake, clock)) as planning,
        ):
            planner, run_id = planning.planner, context.run.run_id
            if config.seq is None:
                results = list(ingest_what_waits(planner, name, run_id))
                if not results:
                    context.log.info("nothing waiting")
            else:
                plan = planned(planner.logs[name], config.seq)
                try:
                    results = [run_batch(planner, name, plan, config.attempt, run_id)]
                except TopicChangedError as error:
                    # The sensor turns the topic's check red by this: it reads no record itself.
                    context.instance.add_run_tags(run_id, {TOPIC_CHANGED_TAG: str(error)})
                    raise
        yield from _report(context, bronze, quarantine, lake.bucket, results)

    return ingest_feed


def _report(
    context: dg.AssetExecutionContext,
    bronze: dg.AssetKey,
    quarantine: dg.AssetKey,
    bucket: str,
    results: list[tuple["Ingested", float]],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:

    commits = [done.commit for done, _ in results]
    for done, _ in results:
        if not done.decided_here:
            seq = done.commit.decision.plan.seq
            context.log.info("Batch %d was decided before. %s", seq, reread_sentence(done))
    for sentence in filter(None, (outcome(commit.decision) for commit in commits)):
        context.log.info(sentence)
    partitions = [c for commit in commits for c in commit.decision.partitions.values()]
    unbalanced = [c for c in partitions if not c.balanced]
    gone = [s for commit in commits for s in loss_sentences(commit)]
    records = sum(c.accepted + c.rejected for c in partitions)
    rejected = sum(c.rejected for c in partitions)
    yield dg.MaterializeResult(asset_key=bronze, metadata=bronze_metadata(bucket, results))
    yield dg.AssetCheckResult(
        asset_key=bronze,
        check_name="offsets_accounted_for",
        passed=not unbalanced,
        description="; ".join(str(c) for c in unbalanced) or None,
    )
    yield dg.AssetCheckResult(
        asset_key=bronze,
        check_name="nothing_lost",
        passed=not gone,
        description="; ".join(gone) or None,
    )
    yield dg.MaterializeResult(asset_key=quarantine, metadata=quarantine_metadata(bucket, results))
    yield dg.AssetCheckResult(
        asset_key=quarantine,
        check_name="few_rejects",
        passed=rejected <= REJECT_SHARE_TO_WARN * max(records, 1),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rejected:,} of {records:,} records rejected",
    )
