"""Reconciliation of everything: log, objects, broker, tables, catalogue and Athena."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from stock_pipeline.kafka.control import KafkaControl, KafkaUnavailableError
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.intervals import Interval, covers
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings
from stock_pipeline.tables.index import TableIndex
from stock_pipeline.tables.reads import partition_with
from stock_pipeline.verify.catalogue import AthenaVerifier, CatalogueVerifier
from stock_pipeline.verify.feed import FeedVerifier, Progress
from stock_pipeline.verify.landing import partitions_landed, verify_landing
from stock_pipeline.verify.report import Kind, Report, VerifyFinding
from stock_pipeline.verify.strangers import strangers_of_lake, strangers_of_tables
from stock_pipeline.verify.tables import TableVerifier


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
        partitions = self._tables(undecided)
        catalogue = CatalogueVerifier(self.settings, self.lake, self.scope.grace_seconds)
        self.report.checks.append(catalogue.verify(self.feeds))
        self.report.findings += catalogue.findings
        if self.scope.athena:
            athena = AthenaVerifier(self.settings, self.lake, self.progress)
            self.report.checks.append(athena.verify(partitions, catalogue.known))
            self.report.findings += athena.findings
            self.report.notes += athena.notes
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

    def _tables(self, undecided: dict[str, list[int]]) -> dict[str, set[str]]:
        """Compare silver and gold; the partitions in scope."""
        if self.scope.whole:
            findings = list(strangers_of_tables(self.lake))
            others, notes = strangers_of_lake(self.lake, self.settings)
            landing, changed = verify_landing(self.lake, self.progress)
            self.report.checks.append(landing)
            self.report.findings += [*findings, *others, *changed]
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
                for table in TABLES.values():
                    self.report.checks.append(verifier.verify(table, partitions[table.name]))
                self._forgotten(verifier.examined, undecided)
                self.report.findings += verifier.findings
                self.report.notes += verifier.notes
                return partitions
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
                        VerifyFinding(Kind.MISSING_COMMIT, sentence, key, action, feed, seq)
                    )

    def _partitions(self, index: TableIndex) -> dict[str, set[str]]:
        """Partitions in scope by table."""
        found: dict[str, set[str]] = defaultdict(set)
        existing: dict[str, set[str]] = defaultdict(set)
        for table in TABLES.values():
            prefix = layout.table_prefix(table.layer, table.name)
            for entry in self.lake.list(prefix):
                if entry.key.count("/") == 3 and "=" in entry.key:
                    existing[table.name].add(layout.partition_of_key(entry.key))
        if self.scope.whole:
            for table, partition in index.due():
                existing[table.name].add(partition)
            return existing
        for name, partition in self.touched:
            found[name].add(partition)
        if self.scope.first and not self.scope.feeds:
            for name, partition in partitions_landed(self.lake, self.scope.first, self.scope.last):
                found[name] |= {partition} & existing[name]
        for table in TABLES.values():
            for read in table.reads:
                there = {partition_with(table, p) for p in found[read.table.name]}
                later = {
                    f"{int(partition) + years:04d}"
                    for partition in there
                    for years in range(1, read.years_before + 1)
                }
                # Without its first input a partition does not exist; without others it may.
                needed = there if read is table.reads[0] else set()
                found[table.name] |= needed | ((there | later) & existing[table.name])
        return found

    def _uncompared(self, what: str, why: str, place: str) -> None:
        sentence = f"{what} was not compared: {why}"
        action = "stock-pipeline doctor says what is wrong with it."
        self.report.findings.append(VerifyFinding(Kind.NOT_COMPARED, sentence, place, action))
