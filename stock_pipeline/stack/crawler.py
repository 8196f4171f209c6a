"""A double of Glue's crawlers for the local profile: `python -m stock_pipeline.stack.crawler`.

The emulator's crawlers run for five seconds and read nothing. This process watches for crawlers
that were started and does, through the Glue API, what Glue does: list every target, read Parquet
footers, merge compatible schemas, create or update tables, add partitions. Production code sees a
crawler that runs, ends, and leaves tables behind. The work usually ends well within the five
seconds; if not, the tables follow, which is why `Catalogue.sync` looks more than once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from stock_pipeline.aws.session import aws_client
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.shapes import TableShape, glue_columns
from stock_pipeline.catalogue.tables import parquet_schema
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.stack.crawl import CrawlOptions, Found, group, merge_columns

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
#: A crawler that runs longer was running when the emulator ended, and would run forever.
STUCK_SECONDS = 60.0


@dataclass
class _Seen:
    """What is known of a crawler's runs.

    Attributes:
        done: Start of the last run that needs nothing more.
        running_after: While it runs and was crawled: start of the run before; else unset.
        since: When it was first seen running (monotonic).
    """

    done: Any = None
    running_after: tuple[Any] | None = None
    since: float = 0.0


@dataclass
class Watch:
    """Tells which crawlers were started since the last look."""

    seen: dict[str, _Seen] = field(default_factory=dict)

    def started(self, crawlers: Iterable[dict[str, Any]], now: float) -> list[dict[str, Any]]:
        """Crawlers that must do their work now: each run once, also one that ended unseen."""
        return [crawler for crawler in crawlers if self._is_new(crawler, now)]

    def stuck(self, crawlers: Iterable[dict[str, Any]], now: float) -> list[str]:
        """Names of crawlers that have been running for too long."""
        return [
            c["Name"]
            for c in crawlers
            if c["State"] == "RUNNING" and now - self.seen[c["Name"]].since > STUCK_SECONDS
        ]

    def _is_new(self, crawler: dict[str, Any], now: float) -> bool:
        seen = self.seen.setdefault(crawler["Name"], _Seen())
        last = (crawler.get("LastCrawl") or {}).get("StartTime")
        if crawler["State"] == "RUNNING":
            if seen.running_after == (last,):
                return False
            seen.running_after, seen.since = (last,), now
            return True
        crawled, seen.running_after = seen.running_after is not None, None
        new = last is not None and last != seen.done and not crawled
        seen.done = last
        return new


class CrawlerDouble:
    """Does the crawlers' work."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._catalogues: dict[tuple[str, str], Catalogue] = {}
        self._columns: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}

    def crawl(self, crawler: dict[str, Any]) -> int:
        """Crawl every target of a crawler; returns the number of tables found."""
        options = CrawlOptions.of(crawler)
        tables = 0
        for target in crawler["Targets"].get("S3Targets", []):
            bucket, _, prefix = target["Path"].removeprefix("s3://").partition("/")
            catalogue = self._catalogue(bucket, crawler["DatabaseName"])
            listed = ((e.key, e.etag) for e in catalogue.lake.list(prefix))
            for found in group(bucket, prefix, listed, target, options):
                self._put(catalogue, found)
                tables += 1
        return tables

    def _catalogue(self, bucket: str, database: str) -> Catalogue:
        if (bucket, database) not in self._catalogues:
            aws = self.settings.aws.model_copy(update={"bucket": bucket})
            catalog = self.settings.catalog.model_copy(update={"database": database})
            settings = self.settings.model_copy(update={"aws": aws, "catalog": catalog})
            self._catalogues[bucket, database] = Catalogue(settings, Lake(aws))
        return self._catalogues[bucket, database]

    def _put(self, catalogue: Catalogue, found: Found) -> None:
        try:
            columns = merge_columns(
                [self._columns_of(catalogue.lake, *sample) for sample in found.samples]
            )
        except ValueError as error:
            # Glue would make a table of each schema; nobody wants these, so the old one stays.
            logger.error("Table %s was left as it is: %s", found.table, error)  # noqa: TRY400
            return
        shape = TableShape(found.table, columns, found.partition_keys, found.partitions)
        known = catalogue.shapes_of([found.table]).get(found.table)
        if known is None or (known.columns, known.partition_keys) != (
            columns,
            found.partition_keys,
        ):
            catalogue.put_table(shape, found.location)
        new = shape.partitions - (known.partitions if known else frozenset())
        catalogue.add_partitions(shape, found.location, sorted(new))

    def _columns_of(self, lake: Lake, key: str, etag: str) -> tuple[tuple[str, str], ...]:
        if (key, etag) not in self._columns:
            self._columns[key, etag] = glue_columns(parquet_schema(lake, key))
        return self._columns[key, etag]


def main() -> None:
    """Watch Glue until told to end; the emulator may come and go."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    settings = get_settings()
    double, watch = CrawlerDouble(settings), Watch()
    client = aws_client("glue", settings.aws)
    while True:
        try:
            crawlers = client.get_crawlers()["Crawlers"]
            for crawler in watch.started(crawlers, time.monotonic()):
                begun = time.monotonic()
                tables = double.crawl(crawler)
                seconds = time.monotonic() - begun
                logger.info("%s: %d tables in %.1f s", crawler["Name"], tables, seconds)
            for name in watch.stuck(crawlers, time.monotonic()):
                logger.warning("%s has run for over %g s: stopped", name, STUCK_SECONDS)
                client.stop_crawler(Name=name)
        except (BotoCoreError, ClientError, OSError) as error:
            logger.warning("Glue or the lake cannot be used (%s); tried again", error)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
