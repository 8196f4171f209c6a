"""One decided batch for `verify`: its objects read whole and held against its commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from stock_pipeline.ingest.documents import Commit, Decision
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import FOOTER_KEY
from stock_pipeline.lake.store import UNREADABLE, Lake, ObjectEntry, ObjectNotFoundError
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.formats.arrow import QUARANTINE
from stock_pipeline.verify.log_checker import differing_fields
from stock_pipeline.verify.objects import Body, body
from stock_pipeline.verify.report import Kind, VerifyFinding
from stock_pipeline.verify.rows import Tally, doubled, miscounted

PIECE_ROWS = 131_072


@dataclass
class BatchResult:
    """What reading a batch's objects gave.

    Attributes:
        commit: Its commit.
        findings: What disagrees.
        bronze: Its rows, counted.
        rejects: Its whole rejects, counted.
        bytes: Bytes read.
    """

    commit: Commit
    findings: list[VerifyFinding] = field(default_factory=list)
    bronze: Tally = field(default_factory=Tally)
    rejects: Tally = field(default_factory=Tally)
    bytes: int = 0


class BatchVerifier:
    """Verifies the objects of a feed's batches; may be called from several threads.

    Args:
        lake: Where the objects are.
        feed: Name of the feed.
        message_format: Its format.
    """

    def __init__(self, lake: Lake, feed: str, message_format: str) -> None:
        self.lake = lake
        self.feed = feed
        self.format = message_format

    def verify(self, commit: Commit, listed: Mapping[str, ObjectEntry]) -> BatchResult:
        """Read the batch's objects.

        Args:
            commit: What the log says.
            listed: Listing of the folders that its objects should be in.
        """
        result = BatchResult(commit)
        decision = commit.decision
        if not self._there(result, decision.object_key, listed):
            return result
        footer = self._bronze(result)
        if footer is None:
            return result
        partial = Tally()
        key = decision.quarantine_key
        if key is None:
            if decision.rejects or decision.partial_rejects:
                self._find(
                    result,
                    Kind.WRONG_COUNT,
                    f"Batch {decision.plan.seq} decided {decision.rejects} rejects and names no "
                    "quarantine object.",
                    decision.object_key,
                )
        elif self._there(result, key, listed) and not self._quarantine(result, key, partial):
            return result
        if any(f.kind is Kind.MISSING_OBJECT for f in result.findings):
            return result
        self._counts(result, footer, partial)
        if not result.findings:
            self._versions(result, listed)
        return result

    def _there(self, result: BatchResult, key: str, listed: Mapping[str, ObjectEntry]) -> bool:
        if key in listed:
            return True
        if key == result.commit.decision.quarantine_key:
            action = (
                f"Copy it back from {layout.attempt_prefix(self.feed)} (the same batch and "
                "attempt), the bucket's versions or a backup; its bytes are nowhere else once "
                "Kafka has let them go."
            )
        else:
            action = (
                "Restore it from the bucket's versions or a backup; while Kafka has the records: "
                f"stock-pipeline batch supersede {self.feed} {result.commit.decision.plan.seq}"
            )
        self._find(
            result,
            Kind.MISSING_OBJECT,
            f"The commit of batch {result.commit.decision.plan.seq} names {key}, and nothing is "
            "there.",
            key,
            action,
        )
        return False

    def _bronze(self, result: BatchResult) -> Decision | None:
        """Count the rows; the footer's decision, None where the object cannot be read."""
        key, seq = result.commit.decision.object_key, result.commit.decision.plan.seq
        try:
            with body(self.lake, key) as found:
                result.bytes += found.size
                file = self._opened(result, key, found)
                if file is None:
                    return None
                wanted = ["trade_date", "kafka_partition", "kafka_offset", "incarnation"]
                wanted += ["event_time", "bar_start", "interval"]
                if not self._counted(result, key, file, FORMATS[self.format].schema, wanted):
                    return None
                footer = (file.metadata.metadata or {}).get(FOOTER_KEY)
        except ObjectNotFoundError:
            self._there(result, key, {})
            return None
        try:
            return Decision.model_validate_json(footer or b"")
        except ValidationError:
            self._find(
                result,
                Kind.FOREIGN_OBJECT,
                f"The object of batch {seq} has no decision in its footer: it was not written by "
                "this pipeline.",
                key,
            )
            return None

    def _opened(self, result: BatchResult, key: str, found: Body) -> pq.ParquetFile | None:
        seq = result.commit.decision.plan.seq
        if found.intact is False:
            self._find(
                result,
                Kind.CHANGED_OBJECT,
                f"The bytes of an object of batch {seq} do not have the checksum that the store "
                "names for them: they rotted.",
                key,
            )
            return None
        try:
            return pq.ParquetFile(found.file, page_checksum_verification=True)
        except UNREADABLE as error:
            self._unreadable(result, key, error)
            return None

    def _counted(
        self,
        result: BatchResult,
        key: str,
        file: pq.ParquetFile,
        schema: pa.Schema,
        wanted: list[str],
        partial: Tally | None = None,
    ) -> bool:
        """Read every page of every column; count what is wanted of it."""
        seq = result.commit.decision.plan.seq
        if file.schema_arrow.remove_metadata() != schema.remove_metadata():
            self._find(
                result,
                Kind.CHANGED_OBJECT,
                f"An object of batch {seq} does not have the columns of its table.",
                key,
            )
            return False
        try:
            for piece in file.iter_batches(PIECE_ROWS):
                table = pa.table(piece)
                columns = [name for name in wanted if name in table.column_names]
                table = table.select(columns)
                if partial is None:
                    result.bronze.add(table)
                else:
                    result.rejects.add(table.filter(pc.invert(table["partial"])))
                    partial.add(table.filter(table["partial"]))
        except UNREADABLE as error:
            self._unreadable(result, key, error)
            return False
        return True

    def _quarantine(self, result: BatchResult, key: str, partial: Tally) -> bool:
        try:
            with body(self.lake, key) as found:
                result.bytes += found.size
                file = self._opened(result, key, found)
                if file is None:
                    return False
                wanted = ["kafka_partition", "kafka_offset", "incarnation", "partial"]
                if not self._counted(result, key, file, QUARANTINE, wanted, partial):
                    return False
                etag = found.etag
        except ObjectNotFoundError:
            return self._there(result, key, {})
        decision = result.commit.decision
        attempt = self.lake.head(layout.attempt_key(self.feed, decision.plan.seq, decision.attempt))
        if attempt and attempt.etag != etag:
            self._find(
                result,
                Kind.CHANGED_OBJECT,
                f"The rejects of batch {decision.plan.seq} are not those that its attempt wrote: "
                f"ETag {etag}, then {attempt.etag}.",
                key,
                f"Copy them back from {attempt.key}.",
            )
        return True

    def _counts(self, result: BatchResult, footer: Decision, partial: Tally) -> None:
        commit, key = result.commit.decision, result.commit.decision.object_key
        seq = commit.plan.seq
        twice = doubled(footer, result.bronze, self.format)
        document = FORMATS[self.format].document
        if twice is None and document and result.bronze.rows > footer.rows:
            twice = (
                f"Batch {seq} decided {footer.rows} rows and its object holds {result.bronze.rows}."
            )
        if twice:
            self._find(result, Kind.DOUBLED_ROWS, twice, key)
            return
        for sentence in miscounted(footer, result.bronze, result.rejects, partial, self.format):
            self._find(result, Kind.WRONG_COUNT, sentence, key)
        differing = differing_fields(commit, footer)
        if differing:
            counts = {"rows", "rejects", "partial_rejects", "partitions", "trade_dates"}
            kind = Kind.WRONG_COUNT if counts & set(differing) else Kind.CHANGED_OBJECT
            self._find(
                result,
                kind,
                f"The commit of batch {seq} and the footer of its object differ in "
                f"{', '.join(differing)}.",
                layout.commit_key(self.feed, seq),
                "The footer is the truth: move the commit away, and the next attempt at the batch "
                "writes it again.",
            )

    def _versions(self, result: BatchResult, listed: Mapping[str, ObjectEntry]) -> None:
        commit = result.commit
        entry, seq = listed[commit.decision.object_key], commit.decision.plan.seq
        if (entry.etag, entry.size) != (commit.object_etag, commit.object_bytes):
            self._find(
                result,
                Kind.CHANGED_OBJECT,
                f"The object of batch {seq} was replaced since its decision: now {entry.size} "
                f"bytes with ETag {entry.etag}, then {commit.object_bytes} bytes with "
                f"{commit.object_etag}.",
                entry.key,
            )

    def _unreadable(self, result: BatchResult, key: str, error: Exception) -> None:
        self._find(
            result,
            Kind.CHANGED_OBJECT,
            f"An object of batch {result.commit.decision.plan.seq} cannot be read as Parquet "
            f"({str(error).splitlines()[0]}).",
            key,
        )

    def _find(
        self, result: BatchResult, kind: Kind, sentence: str, key: str, action: str = ""
    ) -> None:
        seq = result.commit.decision.plan.seq
        action = action or (
            "Restore the object from the bucket's versions or a backup; while Kafka has the "
            f"records: stock-pipeline batch supersede {self.feed} {seq}"
        )
        result.findings.append(VerifyFinding(kind, sentence, key, action, self.feed, seq))
