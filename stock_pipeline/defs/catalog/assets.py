"""The Glue catalogue of the lake, and the sensor that has it brought up to date."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.catalogue.glue import Synced
from stock_pipeline.defs.resources import CatalogueResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, asset_key, with_own_checks
from stock_pipeline.defs.shared.runs import in_progress
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings, SettingsError

CATALOG_KEY = dg.AssetKey(["catalog", "lake"])
CHECK = "catalog_equals_lake"

#: A difference that a crawl left is not crawled for again before this: AWS bills each.
ASK_AGAIN_SECONDS = 3600.0
#: While tables are being made one after the other, a crawl waits for the last, at most this long.
MOST_GROWING_SECONDS = 180.0


def _inputs(settings: Settings) -> list[dg.AssetKey]:
    feeds = settings.feeds
    batches = [dg.AssetKey([layer, feed]) for layer in ("bronze", "quarantine") for feed in feeds]
    return batches + [asset_key(table) for table in TABLES.values()]


def catalogue_asset(settings: Settings) -> dg.AssetsDefinition:
    """The asset that brings the Glue catalogue up to date.

    Args:
        settings: Name the feeds.
    """

    @dg.asset(
        key=CATALOG_KEY,
        deps=_inputs(settings),
        group_name="catalog",
        kinds={"glue"},
        owners=OWNERS,
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=CATALOG_KEY,
                description=(
                    "The catalogue has every table, column, type and partition of the lake."
                ),
            )
        ],
        op_tags={"dagster/max_retries": "0"},
        description=(
            "Grain: one table of the lake in the Glue database, with columns and partitions. "
            "Source: the layers' crawlers, started only for a new partition or a changed schema (a "
            "new file in a known partition needs none), or, by `catalog.method: partitions`, our "
            "own calls. Consumer: Athena and whatever else reads the Glue catalogue."
        ),
    )
    def lake_catalogue(
        context: dg.AssetExecutionContext, catalogue: CatalogueResource
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Compare lake and catalogue, crawl what is new, compare again."""
        with explained(
            "the lake is untouched, the catalogue may lack partitions until it is mended"
        ):
            synced = catalogue.catalogue(settings).sync()
        for sentence in synced.found:
            context.log.info(sentence)
        yield from _results(synced, catalogue.database)

    return lake_catalogue


def _results(
    synced: Synced, database: str
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    how = f"crawled {', '.join(synced.crawled)}" if synced.crawled else "registered by ourselves"
    yield dg.MaterializeResult(
        metadata={
            "tables": synced.tables,
            "partitions": synced.partitions,
            "seconds": round(synced.seconds, 3),
            "new": dg.MetadataValue.md(_list(synced.found)),
            "how": how if synced.found else "nothing new: nothing was started",
            "dropped_partitions": synced.dropped,
            "database": database,
        }
    )
    yield dg.AssetCheckResult(
        asset_key=CATALOG_KEY,
        check_name=CHECK,
        passed=not synced.left,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{len(synced.left)} differences remain. {synced.left[0]}"
            if synced.left
            else f"{synced.tables} tables and {synced.partitions} partitions are as in the lake."
        ),
        metadata={"differences": dg.MetadataValue.md(_list(synced.left))},
    )


def _list(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences[:50]) or "none"


catalog_job = dg.define_asset_job(
    "crawl_lake",
    selection=with_own_checks(CATALOG_KEY),
    description="Bring the Glue catalogue up to date with the lake.",
    tags={"dagster/max_retries": "0"},
)


def decide(cursor: str | None, new: dict[str, list[str]], now: float) -> tuple[str | None, str]:
    """Whether to crawl now.

    Args:
        cursor: What the last call returned.
        new: What the catalogue lacks, sentences by table.
        now: Unix time in seconds.

    Returns:
        Sentence why not, None to crawl; and the next cursor.
    """
    if not new:
        return "The catalogue has every partition of the lake.", ""
    state = json.loads(cursor) if cursor else {}
    digest = sha256(json.dumps(new, sort_keys=True).encode()).hexdigest()[:16]
    since = state.get("since", now)
    asked = state.get("asked", 0.0)
    lacking = f"The catalogue lacks something of {len(new)} tables"
    if state.get("asked_for") == digest and 0 <= now - asked < ASK_AGAIN_SECONDS:
        wait = f"{lacking}; a crawl was requested {now - asked:.0f} s ago for just this."
        return wait, json.dumps(state)
    if state.get("digest") != digest and 0 <= now - since < MOST_GROWING_SECONDS:
        # The next tick sees whether the lake is still growing: one crawl for many partitions.
        return f"{lacking}; the lake is still growing.", json.dumps(
            state | {"digest": digest, "since": since}
        )
    return None, json.dumps({"digest": digest, "asked_for": digest, "asked": now})


def catalogue_sensor(settings: Settings, clock: Clock = system_clock) -> dg.SensorDefinition:
    """The sensor `catalog_sensor`.

    Args:
        settings: Name the feeds.
        clock: Says how long ago a crawl was requested.
    """

    @dg.sensor(
        name="catalog_sensor",
        job=catalog_job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Compares the partitions in the bucket, by listing folders, with those in the "
            "catalogue, and requests a crawl when they differ and the lake has stopped growing."
        ),
    )
    def catalog_sensor(
        context: dg.SensorEvaluationContext, catalogue: CatalogueResource
    ) -> dg.RunRequest | dg.SkipReason:
        """Request a crawl for what is new, never two at a time."""
        if in_progress(context.instance, catalog_job.name):
            return dg.SkipReason("A crawl is under way.")
        try:
            new = catalogue.catalogue(settings).new()
        except SettingsError as error:
            return dg.SkipReason(str(error))
        except (*AWS_ERRORS, OSError) as error:
            # Not an answer: nothing is requested and the cursor stays.
            return dg.SkipReason(
                aws_sentence(error, "no crawl is requested and the next tick asks again")
            )
        reason, cursor = decide(context.cursor, new, clock().timestamp())
        context.update_cursor(cursor)
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return catalog_sensor
