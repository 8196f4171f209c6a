"""Where a record went: the batches, objects and rows of one offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake import layout
from stock_pipeline.lake.files import native_lake_files
from stock_pipeline.lake.store import Lake

if TYPE_CHECKING:
    from stock_pipeline.ingest.documents import Plan


def locate(
    lake: Lake, feed: str, partition: int, offset: int, incarnation: int | None
) -> dict[str, Any]:
    """Where an offset went.

    Returns:
        `fate` (row, reject, hole, lost, undecided or not planned), `batch`, `run_id`, `object`,
        and `rows` or `rejects` with what the object holds of the offset. If a record was replayed,
        the answer is that of the last batch; `read_again_by` names a replay that is under way.
    """
    log = OffsetLog(lake, feed)
    incarnation = incarnation or log.state().incarnation
    under_way: dict[str, Any] = {}
    # Newest first: people ask about recent records, and a replay is newer than what it replaces.
    for entry in reversed(list(lake.list(layout.plan_prefix(feed)))):
        plan = log.plan_of(layout.seq_of_key(entry.key))
        offsets = plan.ranges.get(partition) if plan else None
        if plan is None or offsets is None or plan.incarnation != incarnation:
            continue
        if not offsets.start <= offset < offsets.end or not _names(plan, partition, offset):
            continue
        commit = log.commit_of(plan.seq)
        if plan.kind == "replay" and commit is None:
            under_way = {"read_again_by": plan.seq}
            continue
        whole = plan.kind == "replay" and plan.offsets is None
        if commit and whole and not commit.decision.supersedes:
            continue
        if commit is None:
            return {"fate": "undecided", "batch": plan.seq, "planned_at": plan.planned_at}
        decision = commit.decision
        answer: dict[str, Any] = under_way | {
            "fate": "hole",
            "batch": plan.seq,
            "run_id": decision.run_id,
            "object": lake.uri(decision.object_key),
        }
        if any(r.start <= offset < r.end for r in decision.partitions[partition].lost_ranges):
            return answer | {"fate": "lost"}
        rows = _rows(lake, decision.object_key, partition, offset)
        rejects = (
            _rows(lake, decision.quarantine_key, partition, offset)
            if decision.quarantine_key
            else []
        )
        if rows:
            answer |= {"fate": "row", "rows": rows}
        elif rejects:
            answer["fate"] = "reject"
        if rejects:
            answer |= {"quarantine": lake.uri(str(decision.quarantine_key)), "rejects": rejects}
        return answer
    return {"fate": "not planned"}


def _names(plan: Plan, partition: int, offset: int) -> bool:
    """Whether a plan that lists single offsets lists this one."""
    listed = plan.offsets
    return listed is None or any(r.start <= offset < r.end for r in listed.get(partition, ()))


def _rows(lake: Any, key: str, partition: int, offset: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows = pq.read_table(
        f"{lake.bucket}/{key}",
        filesystem=native_lake_files(lake.aws),
        partitioning=None,
        filters=[("kafka_partition", "=", partition), ("kafka_offset", "=", offset)],
    )
    return list(rows.to_pylist())
