"""What a batch shows in the UI: counts, coordinates and a few rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.shared.pictures import markdown_table, shown
from stock_pipeline.ingest.topics.losses import loss_sentences

if TYPE_CHECKING:
    from stock_pipeline.ingest.decide import Ingested


def bronze_metadata(bucket: str, results: list[tuple[Ingested, float]]) -> dict[str, Any]:
    """Offsets, rows, rejects, holes, times, object and speed of the batches of a run."""
    if not results:
        return {"dagster/row_count": 0, "batches": "nothing was waiting"}
    decisions = [done.commit.decision for done, _ in results]
    rows = sum(d.rows for d in decisions)
    seconds = sum(s for _, s in results)
    records = sum(c.accepted + c.rejected for d in decisions for c in d.partitions.values())
    first = min((d.first_event_time for d in decisions if d.first_event_time), default=None)
    last = max((d.last_event_time for d in decisions if d.last_event_time), default=None)
    newest = results[-1][0].commit
    preview = next((done.preview for done, _ in results if done.preview is not None), None)
    metadata: dict[str, Any] = {
        "dagster/row_count": rows,
        "dagster/uri": f"s3://{bucket}/{newest.decision.object_key}",
        "batch": newest.decision.plan.seq,
        "batches": len(results),
        "rejects": sum(d.rejects for d in decisions),
        "partial_rejects": sum(d.partial_rejects for d in decisions),
        "holes": sum(c.holes for d in decisions for c in d.partitions.values()),
        "lost": sum(c.lost for d in decisions for c in d.partitions.values()),
        "object_bytes": sum(done.commit.object_bytes for done, _ in results),
        "seconds": round(seconds, 3),
        "records_per_second": round(records / seconds) if seconds else 0,
        "digest": newest.decision.digest,
        "offsets": dg.MetadataValue.table(
            records=[
                dg.TableRecord(
                    {
                        "batch": d.plan.seq,
                        "partition": p,
                        "start": c.start,
                        "end": c.end,
                        "accepted": c.accepted,
                        "rejected": c.rejected,
                        "holes": c.holes,
                        "lost": c.lost,
                    }
                )
                for d in decisions[-20:]
                for p, c in sorted(d.partitions.items())
            ]
        ),
    }
    if losses := [s for done, _ in results for s in loss_sentences(done.commit)]:
        metadata["lost_ranges"] = "; ".join(losses)
    if rereads := [s for done, _ in results if (s := reread_sentence(done))]:
        metadata["replay"] = "; ".join(rereads)
    if first and last:
        metadata["event_time_span"] = f"{first.isoformat(' ')} to {last.isoformat(' ')} UTC"
    if preview is not None:
        metadata["preview"] = dg.MetadataValue.md(shown("preview", markdown_table, preview))
    return metadata


def reread_sentence(done: Ingested) -> str:
    """What Kafka holds of a batch that was decided before; "" of a batch that was decided now."""
    again, seq = done.reread, done.commit.decision.plan.seq
    if again is None:
        return ""
    if again.gone:
        return f"batch {seq}: cannot be compared: {again.gone} Retention has removed it since."
    if again.same:
        return f"batch {seq}: the topic still holds the same records"
    return (
        f"batch {seq}: the topic holds other records than it read (digest {again.digest}, then "
        f"{again.decided}); the decided object stays as it is"
    )


def quarantine_metadata(bucket: str, results: list[tuple[Ingested, float]]) -> dict[str, Any]:
    """Number and first few of the rejects, with the object that holds their bytes."""
    decisions = [done.commit.decision for done, _ in results]
    keys = [d.quarantine_key for d in decisions if d.quarantine_key]
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(d.rejects + d.partial_rejects for d in decisions)
    }
    if keys:
        metadata["dagster/uri"] = f"s3://{bucket}/{keys[-1]}"
    for done, _ in results:
        if done.rejects_preview is not None:
            columns = ["kafka_partition", "kafka_offset", "reason", "detail"]
            preview = done.rejects_preview.select(columns)
            metadata["preview"] = dg.MetadataValue.md(shown("preview", markdown_table, preview))
            break
    return metadata
