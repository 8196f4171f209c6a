"""The whole local profile as a person meets it: `stock-pipeline dev` and its UI in a browser.

With STOCK_PIPELINE_SCREENSHOTS set to a folder, the README's pictures are written there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Set
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from stock_pipeline.lake.layout import LANDING_MARK
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings, load_settings, project_root
from stock_pipeline.stack.ports import free_port
from stock_pipeline.tables.index import TableIndex
from stock_pipeline_tests.browser.yahoo_history import yahoo_of_days
from stock_pipeline_tests.sources.vendor_server import VendorServer
from stock_pipeline_tests.support.waiting import until

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: A first run must not wait for anything from outside; Chromium's own services neither.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
UP_SECONDS = 180
#: Alone it is a minute; other workers start a Dagster of their own meanwhile.
TABLES_SECONDS = 300
#: For machines that have other work.
PAGE_MILLISECONDS = 120_000


CHECKS = """{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { evaluation { success } }
} } } } }"""
BACKFILLS = """{ partitionBackfillsOrError { ... on PartitionBackfills { results {
    status numPartitions
} } } }"""
RUNS = "{ runsOrError(limit: 50) { ... on Runs { results { runId tags { key } } } } }"
FROM_UI = "dagster/from_ui"
#: Years of which nothing else in a first run knows.
YEARS = range(2006, 2011)
SYMBOLS = ("AAPL", "MSFT", "NVDA")


@dataclass(frozen=True)
class Dev:
    """A running `stock-pipeline dev`."""

    url: str
    environment: dict[str, str]

    def query(self, sql: str) -> str:
        """Answer of `stock-pipeline query`, as CSV."""
        answer = subprocess.run(
            [sys.executable, "-m", "stock_pipeline", "query", sql, "--format", "csv"],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return answer.stdout if answer.returncode == 0 else ""

    def checks(self) -> dict[tuple[str, str], bool]:
        """Latest result of every check that has one, by asset and name."""
        nodes = self.asked(CHECKS)["assetNodes"]
        return {
            ("/".join(node["assetKey"]["path"]), check["name"]): execution["evaluation"]["success"]
            for node in nodes
            for check in node["assetChecksOrError"].get("checks", [])
            if (execution := check["executionForLatestMaterialization"])
            and execution["evaluation"] is not None
        }

    def wait_for_checks(self, expected: Set[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        """The same, once these have results; one that is evaluated anew has none meanwhile."""

        def told() -> dict[tuple[str, str], bool] | None:
            found = self.checks()
            return found if expected <= found.keys() else None

        found = until(told, "results of checks", 900)
        assert found
        return found

    def asked(self, query: str) -> dict[str, Any]:
        """Answer of the UI's own interface."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            data: dict[str, Any] = json.load(response)["data"]
        return data

    def lake(self) -> tuple[Settings, Lake]:
        """Its settings, and the lake that they name."""
        settings = load_settings(environment=self.environment)
        return settings, Lake(settings.aws)

    def etags(self, *prefixes: str) -> dict[str, str]:
        """Objects of the lake with their versions."""
        _, lake = self.lake()
        return {e.key: e.etag for prefix in prefixes for e in lake.list(prefix)}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def yahoo() -> Iterator[VendorServer]:
    """Yahoo, as `dev` finds it."""
    with yahoo_of_days() as server:
        yield server


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, yahoo: VendorServer) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("dev")
    port = free_port()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("STOCK_PIPELINE")
    } | {
        "STOCK_PIPELINE_HOME": str(folder / "home"),
        "STOCK_PIPELINE__PORTS__KAFKA": str(free_port()),
        "STOCK_PIPELINE__PORTS__AWS": str(free_port()),
        "STOCK_PIPELINE__PORTS__DAGSTER": str(port),
        "STOCK_PIPELINE__SOURCES__YAHOO__BASE_URL": yahoo.url,
    }
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stock_pipeline", "dev"],
            env=environment,
            cwd=project_root(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/server_info"), "the UI", UP_SECONDS)
        yield Dev(url, environment)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 0, (folder / "dev.log").read_text()


def settle(page: Any) -> None:
    """Let the graph's animation end, for a picture worth keeping.

    Nothing asserts on what follows, and the UI polls for ever: there is no idle network to await.
    """
    if "STOCK_PIPELINE_SCREENSHOTS" in os.environ:
        page.wait_for_timeout(2500)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any, str], None]:
    """Save a picture of a page, for the README when asked."""
    folder = Path(os.environ.get("STOCK_PIPELINE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def screenshot(page: Any, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return screenshot


@pytest.mark.timeout(1500)
def test_gold_fills_without_a_click_and_its_checks_are_green(dev: Dev):
    for table in ("volatility_daily", "volatility_intraday"):
        until(
            lambda table=table: dev.query(f"SELECT 1 FROM gold.{table} LIMIT 1").count("1") > 1,
            f"rows in gold.{table}",
            TABLES_SECONDS,
        )
    expected = {
        ("gold/volatility_daily", "publishable"),
        ("gold/volatility_intraday", "publishable"),
    }
    checks = dev.wait_for_checks(expected)
    assert [check for check, passed in checks.items() if not passed] == []


@pytest.mark.timeout(1500)
def test_the_catalogue_equals_the_lake_and_athena_equals_duckdb(dev: Dev):
    """Without a click too: the first crawl and the first parity follow the first tables."""
    expected = {("catalog/lake", "catalog_equals_lake")} | {
        (f"athena/{table}", "athena_equals_duckdb")
        for table in ("volatility_daily", "volatility_intraday", "daily_average_price")
    }
    checks = dev.wait_for_checks(expected)
    assert {check: checks[check] for check in expected} == dict.fromkeys(expected, True)


@pytest.mark.smoke
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the package chromium")
@pytest.mark.timeout(1500)
def test_a_materialization_started_in_the_browser_succeeds(
    dev: Dev, save: Callable[[Any, str], None]
):
    from playwright.sync_api import expect, sync_playwright

    def runs_by_hand() -> set[str]:
        """Runs that a person started in the UI."""
        found = dev.asked(RUNS)["runsOrError"]["results"]
        return {run["runId"] for run in found if FROM_UI in [tag["key"] for tag in run["tags"]]}

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)

        page.goto(f"{dev.url}/assets/bronze/stock_live_feed")
        before = runs_by_hand()
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_role("button", name="Confirm").click()
        # The message with the link to the run goes after four seconds: too early to rely on.
        (run,) = until(lambda: runs_by_hand() - before, "the run")
        page.goto(f"{dev.url}/runs/{run}")
        expect(page.get_by_text("Success", exact=True).first).to_be_visible()
        save(page, "run")

        page.goto(f"{dev.url}/assets/bronze/stock_live_feed?view=events")
        expect(page.get_by_text("records_per_second").first).to_be_visible()
        save(page, "batch")

        # The graph is drawn at full size: a larger page shows all of it.
        page.set_viewport_size({"width": 2300, "height": 2000})
        page.goto(f"{dev.url}/assets/gold/volatility_intraday?view=lineage&lineageScope=upstream")
        page.get_by_role("button", name="All", exact=True).click()
        expect(page.get_by_text("stock_live_feed").first).to_be_visible()
        settle(page)
        save(page, "graph")
        page.set_viewport_size({"width": 1500, "height": 950})

        # Shortly after midnight UTC the newest day has too few points for a chart.
        if datetime.now(UTC).time() > time(0, 30):
            page.goto(f"{dev.url}/assets/gold/volatility_intraday?view=events")
            page.get_by_text("chart", exact=True).first.scroll_into_view_if_needed()
            settle(page)
            save(page, "volatility")

        page.goto(f"{dev.url}/automation")
        expect(page.get_by_text("plan_batches").first).to_be_attached()
        settle(page)
        save(page, "automation")
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the package chromium")
@pytest.mark.timeout(1500)
def test_a_backfill_of_three_symbols_over_five_years_fills_gold_and_a_second_changes_nothing(
    dev: Dev, yahoo: VendorServer, save: Callable[[Any, str], None], tmp_path: Path
):
    from playwright.sync_api import expect, sync_playwright

    def backfill(page: Any) -> None:
        """As a person does it; until it has ended."""
        before = len(dev.asked(BACKFILLS)["partitionBackfillsOrError"]["results"])
        page.goto(f"{dev.url}/assets/landing/yahoo_daily")
        page.get_by_role("button", name="Materialize").first.click()
        dialog = page.get_by_role("dialog")
        years = dialog.get_by_placeholder(re.compile("^ex: "))
        years.fill(f"[{YEARS[0]}...{YEARS[-1]}]")
        years.press("Enter")
        dialog.get_by_role("button", name="All", exact=True).last.click()
        expect(dialog.get_by_text("15 partitions")).to_be_visible()
        save(page, "backfill")
        dialog.get_by_role("button", name="Launch backfill").click()

        def ended() -> bool:
            found = dev.asked(BACKFILLS)["partitionBackfillsOrError"]["results"]
            statuses = [each["status"] for each in found]
            return len(statuses) > before and set(statuses) == {"COMPLETED_SUCCESS"}

        until(ended, "the end of the backfill", 400)

    def made() -> dict[str, str]:
        tables = ("silver/bars_daily", "gold/volatility_daily", "gold/daily_average_price")
        years = (f"{table}/year={year}/" for table in tables for year in YEARS)
        # The mark says that something changed: without it no later refresh makes anything.
        return dev.etags("landing/", LANDING_MARK, *years)

    def complete() -> bool:
        """Whether every object is there, made from all that has landed.

        A refresh during the backfill makes a year from the symbols that it finds; the next one
        makes it again.
        """
        with closing(TableIndex(*dev.lake(), tmp_path / "index.sqlite")) as index:
            index.catch_up()
            due = {partition for _, partition in index.due()}
        return len(made()) == objects and due.isdisjoint(map(str, YEARS))

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)
        backfill(page)
        objects = len(SYMBOLS) * len(YEARS) + 1 + 3 * len(YEARS)
        until(complete, "silver and gold of five years", 300)
        for table in ("silver.bars_daily", "gold.volatility_daily"):
            sql = f"SELECT DISTINCT symbol FROM {table} WHERE year = {YEARS[-1]} ORDER BY symbol"
            assert dev.query(sql).split() == ["symbol", *SYMBOLS]
        before, questions = made(), len(yahoo.asked)
        backfill(page)
        assert len(yahoo.asked) > questions
        assert complete()
        assert made() == before
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the package chromium")
@pytest.mark.timeout(600)
def test_the_lineage_reads_from_left_to_right_and_resources_say_who_uses_them(
    dev: Dev, save: Callable[[Any, str], None]
):
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)

        page.goto(f"{dev.url}/asset-groups")
        groups = [
            page.get_by_text(group, exact=True).last
            for group in ("kafka", "bronze", "silver", "gold", "catalog", "athena")
        ]
        for group in groups:
            expect(group).to_be_visible()
        settle(page)
        lefts = [group.bounding_box()["x"] for group in groups]
        assert lefts == sorted(set(lefts))
        save(page, "lineage")

        resources = "/locations/stock_pipeline/resources"
        page.goto(f"{dev.url}{resources}")
        for resource in ("athena", "catalogue", "kafka", "lake", "queries", "s3", "secrets"):
            expect(page.locator(f'a[href="{resources}/{resource}"]').first).to_be_visible()
        save(page, "resources")
        page.goto(f"{dev.url}{resources}/lake/uses")
        expect(page.get_by_text("The bucket of bronze, silver, gold").first).to_be_visible()
        expect(page.locator('a[href="/assets/bronze/stock_live_feed"]').first).to_be_visible()
        settle(page)
        save(page, "resource")
        browser.close()
