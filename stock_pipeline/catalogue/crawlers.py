"""Glue crawlers: one a layer, started and waited for."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from stock_pipeline.catalogue.tables import LAYERS, lake_tables
from stock_pipeline.errors import UserError
from stock_pipeline.settings import Settings

logger = logging.getLogger(__name__)

#: A table is a folder two levels below the bucket, which is level 1.
TABLE_LEVEL = 3
#: Relative to the target. None of our tables has such a folder: a target that somebody widens to
#: the whole bucket must not turn the log of offsets into tables.
EXCLUSIONS = ("_offset_log/**", "_rejected/**", "landing/**", "_landing/**")
#: Files that are read in each folder; one object of ours has the schema of all others there.
SAMPLE_SIZE = 10
FIRST_POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 10.0


class CatalogueError(UserError):
    """The catalogue could not be brought up to date."""


def crawler_name(layer: str) -> str:
    """Name of the crawler of a layer."""
    return f"stock_pipeline_{layer}"


def crawler_definitions(settings: Settings) -> list[dict[str, Any]]:
    """Arguments of CreateCrawler: a crawler a layer, in it a path and a table for each prefix."""
    tables = lake_tables(settings)
    configuration = {
        "Version": 1.0,
        "Grouping": {
            "TableGroupingPolicy": "CombineCompatibleSchemas",
            "TableLevelConfiguration": TABLE_LEVEL,
        },
        # Without it a partition keeps the columns of the day on which it was crawled.
        "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
    }
    return [
        {
            "Name": crawler_name(layer),
            "Role": settings.catalog.crawler_role,
            "DatabaseName": settings.catalog.database,
            "Description": f"Tables of the {layer} layer, one folder each.",
            "TablePrefix": f"{layer}_",
            "Targets": {
                "S3Targets": [
                    {
                        "Path": f"s3://{settings.aws.bucket}/{table.prefix}",
                        "Exclusions": list(EXCLUSIONS),
                        "SampleSize": SAMPLE_SIZE,
                    }
                    for table in tables
                    if table.layer == layer
                ]
            },
            "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"},
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
            "Configuration": json.dumps(configuration),
        }
        for layer in LAYERS
    ]


class Crawlers:
    """The crawlers of one lake."""

    def __init__(self, settings: Settings, client: Any) -> None:
        self.settings = settings
        self.client = client

    def ensure(self) -> None:
        """Create the crawlers, and bring existing ones up to date.

        A crawler that runs keeps its old definition until the next call.

        Raises:
            botocore.exceptions.ClientError: Glue refused.
        """
        for definition in crawler_definitions(self.settings):
            try:
                self.client.create_crawler(**definition)
            except ClientError as error:
                if _code(error) != "AlreadyExistsException":
                    raise
                self._update(definition)

    def _update(self, definition: dict[str, Any]) -> None:
        crawler = self.client.get_crawler(Name=definition["Name"])["Crawler"]
        if all(crawler.get(key) == value for key, value in definition.items()):
            return
        try:
            self.client.update_crawler(**definition)
        except ClientError as error:
            if _code(error) != "CrawlerRunningException":
                raise
            logger.info("%s runs; its new definition waits", definition["Name"])

    def crawl(self, layers: Sequence[str]) -> None:
        """Start the crawlers of these layers and wait until all of them have succeeded.

        A crawler that is already running may have listed the lake before the newest partition was
        there: it is waited for and started once more.

        Raises:
            CatalogueError: A crawl failed or did not end in `catalog.timeout_seconds`.
            botocore.exceptions.ClientError: Glue refused.
        """
        deadline = time.monotonic() + self.settings.catalog.timeout_seconds
        before = {}
        for layer in layers:
            before[layer] = self._start(crawler_name(layer), deadline)
        for layer in layers:
            self._wait(crawler_name(layer), before[layer], deadline)

    def _start(self, name: str, deadline: float) -> Any:
        """Start a crawler; returns when its crawl before this one started, None for never."""
        pause = FIRST_POLL_SECONDS
        while True:
            crawler = self._get(name)
            if crawler["State"] == "READY":
                try:
                    self.client.start_crawler(Name=name)
                except ClientError as error:
                    if _code(error) != "CrawlerRunningException":
                        raise
                else:
                    return _last_started(crawler)
            pause = self._pause(name, pause, deadline, "was still busy with another crawl")

    def _wait(self, name: str, before: Any, deadline: float) -> None:
        pause = FIRST_POLL_SECONDS
        while True:
            crawler = self._get(name)
            # READY with the old LastCrawl: the start is not visible yet.
            if crawler["State"] == "READY" and _last_started(crawler) != before:
                break
            pause = self._pause(name, pause, deadline, "did not end")
        last = crawler["LastCrawl"]
        if last["Status"] != "SUCCEEDED":
            raise CatalogueError(
                f"Crawler {name} ended as {last['Status']}: "
                f"{last.get('ErrorMessage', 'no message')}. The lake is untouched, the catalogue "
                f"may lack partitions; log: {last.get('LogGroup')}, stream {last.get('LogStream')}."
            )

    def _pause(self, name: str, pause: float, deadline: float, what: str) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise CatalogueError(
                f"Crawler {name} {what} within {self.settings.catalog.timeout_seconds:g} s. "
                "The lake is untouched, the catalogue may lack partitions; the next run looks "
                "again. A longer wait: catalog.timeout_seconds."
            )
        time.sleep(min(pause, left))
        return min(pause * 1.2, LONGEST_POLL_SECONDS)

    def _get(self, name: str) -> dict[str, Any]:
        try:
            crawler: dict[str, Any] = self.client.get_crawler(Name=name)["Crawler"]
        except ClientError as error:
            if _code(error) == "EntityNotFoundException":
                raise CatalogueError(
                    f"There is no crawler {name}; nothing was crawled. Materialize "
                    "catalog/lake, which creates it, or start the stack anew."
                ) from error
            raise
        return crawler


def _last_started(crawler: dict[str, Any]) -> Any:
    return (crawler.get("LastCrawl") or {}).get("StartTime")


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
