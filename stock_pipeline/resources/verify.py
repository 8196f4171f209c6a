"""Reconciliation of everything: log, objects, broker, tables, catalogue and Athena."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from stock_pipeline.lib import layout
from stock_pipeline.lib.catalog_diff import TableShape, differences, glue_name
from stock_pipeline.lib.due import BUILD_ORDER, YEARS_READ
from stock_pipeline.lib.intervals import Interval, covers
from stock_pipeline.lib.offsets import TopicOffsets
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    GOLD_TABLES,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.lib.verify import Check, Finding, Kind, Report
from stock_pipeline.resources.athena import AthenaError, AthenaRunner
from stock_pipeline.resources.glue import Catalogue
from stock_pipeline.resources.kafka import KafkaControl, KafkaUnavailableError
from stock_pipeline.resources.lake import Lake, ObjectNotFoundError
from stock_pipeline.resources.lake_tables import LakeTable, actual_shapes
from stock_pipeline.resources.parity import GoldParity
from stock_pipeline.resources.table_index import TableIndex
from stock_pipeline.resources.verify_feed import FeedVerifier, Progress
from stock_pipeline.resources.verify_objects import listing
from stock_pipeline.resources.verify_strangers import strangers_of_lake, strangers_of_tables
from stock_pipeline.resources.verify_tables import TableVerifier
from stock_pipeline.settings import Settings

#: Gold partitions of a table, the newest in scope, that Athena is asked for: it bills each query.
ATHENA_PARTITIONS = 2


@dataclass(frozen=True)
class Scope:
    """What to verify.

    Attributes:
        feeds: Names of feeds; empty for all.
        first: First arrival date of batches, None for all. A bounded verify looks at the tables'
            partitions that these batches touch.
        last: Last one, included.
        broker: Whether to read batches again from Kafka.
        athena: Whether to ask Athena.
        grace_seconds: How long tables and catalogue may be behind what they are made from.
        settle_seconds: How long a commit may take to follow its object.
    """

    feeds: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    broker: bool = True
    athena: bool = True
    grace_seconds: float = 300.0
    settle_seconds: float = 20.0

    @property
    def whole(self) -> bool:
        """Whether everything in the lake is in scope."""
        return not self.feeds and self.first is None and self.last is None


def verify(settings: Settings, lake: Lake, scope: Scope, progress: Progress) -> Report:
    """Compare everything in scope; reads only.

    Args:
        settings: Name feeds and tables.
        lake: Where the objects are.
        scope: What to compare.
        progress: Told of every step.

    Raises:
        ClientError: The store refuses, or a connection error of botocore.
    """
    return _Verify(settings, lake, scope, progress).run()


class _Verify:
    def __init__(self, settings: Settings, lake: Lake, scope: Scope, progress: Progress) -> None:
        self.settings, self.lake, self.scope, self.progress = settings, lake, scope, progress
        self.feeds = scope.feeds or tuple(settings.feeds)
        self.report = Report()
        self.touched: set[tuple[str, str]] = set()

    def run(self) -> Report:
        # The moment that is verified: what is planned later belongs to the next time.
        verifiers = [
            FeedVerifier(
                self.settings,
                self.lake,
                feed,
                self.scope.first,
                self.scope.last,
                self.scope.settle_seconds,
                self.progress,
            )
            for feed in self.feeds
        ]
        offsets = self._polled()
        undecided: dict[str, list[int]] = {}
        for verifier in verifiers:
            feed = verifier.feed
            topic = self.settings.feeds[feed].topic
            result = verifier.run((offsets or {}).get(topic), with_broker=offsets is not None)
            self.report.ledgers += result.ledgers
            self.report.checks += result.checks
            self.report.findings += result.findings
            self.report.notes += result.notes
            self.touched |= result.touched
            undecided[feed] = result.undecided
        self._tables(undecided)
        self._catalogue()
        return self.report

    def _polled(self) -> dict[str, TopicOffsets | None] | None:
        """Offsets by topic; None to leave the broker out."""
        if not self.scope.broker:
            return None
        kafka = KafkaControl(self.settings.kafka)
        try:
            return kafka.topic_offsets([self.settings.feeds[f].topic for f in self.feeds])
        except KafkaUnavailableError as error:
            self._uncompared("Kafka", str(error), self.settings.kafka.bootstrap_servers)
            return None
        finally:
            kafka.close()

    def _tables(self, undecided: dict[str, list[int]]) -> None:
        if self.scope.whole:
            findings = list(strangers_of_tables(self.lake))
            others, notes = strangers_of_lake(self.lake, self.settings)
            self.report.findings += [*findings, *others]
            self.report.notes += notes
        with TemporaryDirectory(prefix="stock_pipeline_verify_") as folder:
            # Of a part, the kept index saves reading every commit there is; the whole trusts none.
            home = Path(folder) if self.scope.whole else self.settings.home
            index = TableIndex(self.settings, self.lake, home / "table_index.sqlite")
            try:
                index.catch_up()
                verifier = TableVerifier(
                    self.settings, self.lake, index, self.scope.grace_seconds, self.progress
                )
                partitions = self._partitions(index)
                for table in BUILD_ORDER:
                    self.report.checks.append(verifier.verify(table, partitions[table.name]))
                self._forgotten(verifier.examined, undecided)
                self.report.findings += verifier.findings
                self.report.notes += verifier.notes
                self._athena(partitions)
            finally:
                index.close()

    def _forgotten(
        self, examined: Mapping[str, tuple[Interval, ...]], undecided: dict[str, list[int]]
    ) -> None:
        """Batches that silver was made from, and of which neither commit nor object is left."""
        for feed, seqs in undecided.items():
            for seq in seqs:
                key = layout.commit_key(feed, seq)
                if covers(examined.get(feed, ()), seq) and self.lake.head(key) is None:
                    sentence = (
                        f"Silver was made from batch {seq} of feed {feed}, whose commit and object "
                        "are gone."
                    )
                    action = "Restore both from the bucket's versions or a backup."
                    self.report.findings.append(
                        Finding(Kind.MISSING_COMMIT, sentence, key, action, feed, seq)
                    )

    def _partitions(self, index: TableIndex) -> dict[str, set[str]]:
        """Partitions in scope by table."""
        found: dict[str, set[str]] = defaultdict(set)
        existing: dict[str, set[str]] = defaultdict(set)
        for table in BUILD_ORDER:
            prefix = layout.table_prefix(table.layer, table.name)
            for entry in listing(self.lake, prefix):
                if entry.key.count("/") == 3 and "=" in entry.key:
                    existing[table.name].add(layout.partition_of_key(entry.key))
        if self.scope.whole:
            for table, partition in index.due():
                existing[table.name].add(partition)
            return existing
        for name, partition in self.touched:
            found[name].add(partition)
        found[BARS_DAILY_TABLE.name] |= {day[:4] for day in found[BARS_INTRADAY_TABLE.name]}
        days, years = found[BARS_INTRADAY_TABLE.name], found[BARS_DAILY_TABLE.name]
        reading = {f"{int(y) + n:04d}" for y in years for n in range(YEARS_READ)}
        found[VOLATILITY_INTRADAY_TABLE.name] = set(days)
        found[VOLATILITY_DAILY_TABLE.name] = years | (
            reading & existing[VOLATILITY_DAILY_TABLE.name]
        )
        found[DAILY_AVERAGE_PRICE_TABLE.name] = set(years)
        return found

    def _catalogue(self) -> None:
        catalogue = Catalogue(self.settings, self.lake)
        tables = [
            t for t in catalogue.tables if t.layer in {"silver", "gold"} or t.name in self.feeds
        ]
        lake = actual_shapes(self.lake, tables)
        there = catalogue.shapes_of([t.glue_name for t in tables])
        young = {t.glue_name: self._young(t) for t in tables}
        settled = [
            replace(s, partitions=s.partitions - (young[s.name] - _known(there, s.name)))
            for s in lake
        ]
        sentences = differences(settled, there)
        self.report.findings += [
            Finding(
                Kind.STALE_CATALOGUE,
                sentence,
                f"{self.settings.catalog.database}.{sentence.split()[1]}",
                "Materialize catalog/lake: it crawls what is new and drops what is gone.",
            )
            for sentence in sentences
        ]
        partitions = sum(len(s.partitions) for s in lake)
        self.report.checks.append(
            Check(
                "catalogue",
                f"{len(tables):,} tables and {partitions:,} partitions against the lake",
                0,
                len(sentences),
            )
        )

    def _young(self, table: LakeTable) -> frozenset[tuple[str, ...]]:
        """Partitions of which every object is younger than the grace: a crawl may be under way."""
        old: set[str] = set()
        young: set[str] = set()
        for entry in listing(self.lake, table.prefix):
            folder = entry.key.removeprefix(table.prefix).split("/")[0]
            value = folder.partition("=")[2]
            (old if entry.older_than(self.scope.grace_seconds) else young).add(value)
        return frozenset((value,) for value in young - old)

    def _athena(self, partitions: dict[str, set[str]]) -> None:
        if not self.scope.athena:
            return
        runner = AthenaRunner(self.settings)
        rows = scanned = 0
        compared: list[str] = []
        found = len(self.report.findings)
        for table in GOLD_TABLES:
            newest = sorted(partitions[table.name], reverse=True)[:ATHENA_PARTITIONS]
            for n, partition in enumerate(newest):
                self.progress(f"Athena {table.name}", n, len(newest))
                try:
                    parity = GoldParity(self.settings, self.lake, table, runner).compare(partition)
                except ObjectNotFoundError:
                    continue  # A stale partition, and found to be one.
                except AthenaError as error:
                    name = f"{self.settings.catalog.database}.{glue_name(table.layer, table.name)}"
                    self._uncompared(f"Athena {table.name} {partition}", str(error), name)
                    continue
                self.report.notes += parity.notes
                scanned += parity.query.bytes_scanned if parity.query else 0
                if parity.athena is None:
                    continue
                compared.append(partition)
                rows += parity.athena.rows
                if parity.athena.differing:
                    example = ", ".join(f"{k} {v}" for k, v in parity.athena.examples[0].items())
                    self.report.findings.append(
                        Finding(
                            Kind.ATHENA_DIFFERS,
                            f"{parity.athena.differing} values of {table.name} {partition} differ "
                            f"between Athena and DuckDB; the first: {example}.",
                            f"{table.layer}/{table.name} {partition}",
                            f"Look at athena/{table.name} in the UI; the catalogue may be stale.",
                        )
                    )
        self.report.checks.append(
            Check(
                "Athena",
                f"{len(compared)} newest gold partitions by Athena and DuckDB, {rows:,} rows",
                scanned,
                len(self.report.findings) - found,
            )
        )

    def _uncompared(self, what: str, why: str, place: str) -> None:
        sentence = f"{what} was not compared: {why}"
        action = "stock-pipeline doctor says what is wrong with it."
        self.report.findings.append(Finding(Kind.NOT_COMPARED, sentence, place, action))


def _known(there: dict[str, TableShape], name: str) -> frozenset[tuple[str, ...]]:
    return there[name].partitions if name in there else frozenset()
