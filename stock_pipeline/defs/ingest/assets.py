"""Bronze and quarantine: what one batch of a feed became.

Without postponed annotations: Dagster reads the config's type from the function itself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.ingest.metadata import bronze_metadata, quarantine_metadata
from stock_pipeline.defs.shared.columns import table_schema
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, topic_key
from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.ingest.rejects.replays import outcome
from stock_pipeline.ingest.run import ingest_what_waits, run_batch
from stock_pipeline.ingest.topics.losses import loss_sentences
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.records import QUARANTINE_COLUMNS
from stock_pipeline.settings import FeedSettings, get_settings

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


def ingest_assets(name: str, feed: FeedSettings) -> dg.AssetsDefinition:
    """The assets `bronze/<feed>` and `quarantine/<feed>`, made by one op."""
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
                    "Consumer: silver bars."
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
        context: dg.AssetExecutionContext, config: BatchConfig
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:

        with explained("a batch without decision stays planned and is asked for again by itself"):
            planner = Planner(get_settings())
            if config.seq is None:
                results = list(ingest_what_waits(planner, name, context.run.run_id))
                if not results:
                    context.log.info("nothing waiting")
            else:
                plan = planner.logs[name].plan_of(config.seq)
                if plan is None:
                    raise dg.Failure(
                        f"Feed {name} has no plan {config.seq}: nothing was read. The offset log "
                        "lists the batches: stock-pipeline status",
                        allow_retries=False,
                    )
                try:
                    results = [run_batch(planner, name, plan, config.attempt, context.run.run_id)]
                except TopicChangedError as error:
                    # The sensor turns the topic's check red by this: it reads no record itself.
                    said = {TOPIC_CHANGED_TAG: str(error)}
                    context.instance.add_run_tags(context.run.run_id, said)
                    raise
        yield from _report(context, bronze, quarantine, results)

    return ingest_feed


def _report(
    context: dg.AssetExecutionContext,
    bronze: dg.AssetKey,
    quarantine: dg.AssetKey,
    results: list[tuple["Ingested", float]],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:

    commits = [done.commit for done, _ in results]
    for done, _ in results:
        if not done.decided_here:
            seq = done.commit.decision.plan.seq
            context.log.info("batch %d was decided before: %s", seq, done.replay)
    for sentence in filter(None, (outcome(commit.decision) for commit in commits)):
        context.log.info(sentence)
    partitions = [c for commit in commits for c in commit.decision.partitions.values()]
    unbalanced = [c for c in partitions if not c.balanced]
    gone = [s for commit in commits for s in loss_sentences(commit)]
    records = sum(c.accepted + c.rejected for c in partitions)
    rejected = sum(c.rejected for c in partitions)
    yield dg.MaterializeResult(asset_key=bronze, metadata=bronze_metadata(results))
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
    yield dg.MaterializeResult(asset_key=quarantine, metadata=quarantine_metadata(results))
    yield dg.AssetCheckResult(
        asset_key=quarantine,
        check_name="few_rejects",
        passed=rejected <= REJECT_SHARE_TO_WARN * max(records, 1),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rejected:,} of {records:,} records rejected",
    )


bronze_and_quarantine = [ingest_assets(name, feed) for name, feed in get_settings().feeds.items()]
