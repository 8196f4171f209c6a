"""The catalogue against the lake, and Athena against DuckDB, for `verify`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from stock_pipeline.catalogue.athena import AthenaError, AthenaRunner
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.parity import GoldParity
from stock_pipeline.catalogue.shapes import differences, glue_name
from stock_pipeline.catalogue.tables import LakeTable, declared_shapes
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.lib.schemas import TableSpec, tables_of
from stock_pipeline.settings import Settings
from stock_pipeline.verify.feed import Progress
from stock_pipeline.verify.objects import utc_now
from stock_pipeline.verify.report import Check, Kind, VerifyFinding

#: Gold partitions of a table, the newest in scope, that Athena is asked for: it bills each query.
ATHENA_PARTITIONS = 2


class CatalogueVerifier:
    """Compares tables, columns and partitions of the catalogue with the lake.

    Whether the objects themselves have the declared columns is found where they are read.
    """

    def __init__(self, settings: Settings, lake: Lake, grace_seconds: float) -> None:
        self.lake, self.grace_seconds = lake, grace_seconds
        self.findings: list[VerifyFinding] = []
        #: Tables that the catalogue knows, by `verify`.
        self.known: frozenset[str] = frozenset()
        self._catalogue = Catalogue(settings, lake)

    def verify(self, feeds: Collection[str]) -> Check:
        """Compare the tables of some feeds, and silver and gold."""
        tables = [
            t for t in self._catalogue.tables if t.layer in {"silver", "gold"} or t.name in feeds
        ]
        lake = declared_shapes(self.lake, tables)
        there = self._catalogue.shapes_of([t.glue_name for t in tables])
        self.known = frozenset(there)
        settled = []
        for table, shape in zip(tables, lake, strict=True):
            known = there[shape.name].partitions if shape.name in there else frozenset()
            new = shape.partitions - known
            young = self._young(table, new) if new else frozenset()
            settled.append(replace(shape, partitions=shape.partitions - young))
        self.findings += [
            VerifyFinding(
                Kind.STALE_CATALOGUE,
                sentence,
                f"{self._catalogue.database}.{name}",
                "Materialize catalog/lake: it crawls what is new and drops what is gone.",
            )
            for name, sentences in differences(settled, there).items()
            for sentence in sentences
        ]
        partitions = sum(len(shape.partitions) for shape in lake)
        sentence = (
            f"{counted(len(tables), 'table')} and {counted(partitions, 'partition')} against the "
            "lake"
        )
        return Check("catalogue", sentence, 0, len(self.findings))

    def _young(
        self, table: LakeTable, new: frozenset[tuple[str, ...]]
    ) -> frozenset[tuple[str, ...]]:
        """Partitions of which no object is older than the grace: a crawl may be under way."""
        return frozenset(
            (value,)
            for (value,) in new
            if not any(
                utc_now() - entry.modified > timedelta(seconds=self.grace_seconds)
                for entry in self.lake.list(f"{table.prefix}{table.partition_column}={value}/")
            )
        )


class AthenaVerifier:
    """Runs gold's SQL by Athena and DuckDB over the same silver, and compares the rows."""

    def __init__(self, settings: Settings, lake: Lake, progress: Progress) -> None:
        self.settings, self.lake, self.progress = settings, lake, progress
        self.findings: list[VerifyFinding] = []
        self.notes: list[str] = []
        self._runner = AthenaRunner(settings)
        self._rows = self._scanned = self._compared = 0

    def verify(self, partitions: Mapping[str, Collection[str]], known: Collection[str]) -> Check:
        """Compare the newest of these partitions of each gold table.

        Args:
            partitions: Partitions in scope by table.
            known: Tables that the catalogue has: of others, Athena cannot read the silver.
        """
        for table in tables_of("gold"):
            unknown = self._unknown(table, known)
            if partitions[table.name] and unknown:
                self.notes.append(
                    f"Athena was not asked for {table.name}: the catalogue does not know "
                    f"{', '.join(unknown)} yet."
                )
                continue
            newest = sorted(partitions[table.name], reverse=True)[:ATHENA_PARTITIONS]
            for n, partition in enumerate(newest):
                self._compare(table, partition)
                self.progress(f"Athena: {table.name}", n + 1, len(newest))
        sentence = (
            f"the newest {counted(self._compared, 'gold partition')} by Athena and by DuckDB, "
            f"{counted(self._rows, 'row')}"
        )
        return Check("Athena", sentence, self._scanned, len(self.findings))

    def _unknown(self, table: TableSpec, known: Collection[str]) -> list[str]:
        """Tables that a gold table reads and Athena cannot; one without an object is not read."""
        needed, *others = (read.table for read in table.reads)
        there = [t for t in others if any(self.lake.list(layout.table_prefix(t.layer, t.name)))]
        return [
            f"{t.layer}/{t.name}"
            for t in (needed, *there)
            if glue_name(t.layer, t.name) not in known
        ]

    def _compare(self, table: TableSpec, partition: str) -> None:
        name = f"{self.settings.catalog.database}.{glue_name(table.layer, table.name)}"
        try:
            parity = GoldParity(self.settings, self.lake, table, self._runner).compare(partition)
        except ObjectNotFoundError:
            return  # It is missing, which is found where gold is compared with silver.
        except AthenaError as error:
            said = " ".join(str(error).split())
            sentence = f"{table.name} {partition} was not compared with Athena: {said}"
            action = "stock-pipeline doctor says what is wrong with Athena."
            self.findings.append(VerifyFinding(Kind.NOT_COMPARED, sentence, name, action))
            return
        self.notes += parity.notes
        self._scanned += parity.query.bytes_scanned if parity.query else 0
        if parity.athena is None:
            return
        self._compared += 1
        self._rows += parity.athena.rows
        if parity.athena.differing:
            example = ", ".join(f"{k} {v}" for k, v in parity.athena.examples[0].items())
            sentence = (
                f"{parity.athena.differing} values of {table.name} {partition} differ between "
                f"Athena and DuckDB; the first: {example}."
            )
            action = f"See athena/{table.name} in the UI; a stale catalogue may be the cause."
            self.findings.append(VerifyFinding(Kind.ATHENA_DIFFERS, sentence, name, action))
