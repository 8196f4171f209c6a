"""What must hold after any fault, read from the lake as readers see it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.ingest.commit import read_decision
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings
from stock_pipeline.stack.provision import ensure_bucket
from stock_pipeline_tests.faults.jobs import Job
from stock_pipeline_tests.faults.tally import TALLY

FEED = "trades"


def assert_every_offset_once(settings: Settings, feed: str = FEED, *, drained: bool = True) -> None:
    """Rows and rejects that a reader can see are each offset once; nothing else is visible.

    Args:
        settings: Of the lake itself, not through a proxy.
        feed: Which feed.
        drained: Whether everything in the topic must be there.
    """
    lake, planner = Lake(settings.aws), Planner(settings)
    log = planner.logs[feed]
    state = log.state()
    commits = {commit.decision.plan.seq: commit for commit in log.commits()}
    seen: Counter[tuple[int, int]] = Counter()
    for entry in lake.list(layout.bronze_prefix(feed)):
        # Visible is decided, whether or not its commit is written yet.
        decision = read_decision(log, entry.key)
        assert decision is not None
        assert decision.balanced
        assert decision.object_key == entry.key
        commit = commits.get(decision.plan.seq)
        assert commit is None or (commit.decision, commit.object_etag) == (decision, entry.etag)
        table, _ = lake.read_table(entry.key)
        seen.update(set(_offsets(table)))
        for partition, count in decision.partitions.items():
            seen.update((partition, o) for r in count.lost_ranges for o in range(r.start, r.end))
        assert not any(count.holes for count in decision.partitions.values())
    named = {c.decision.quarantine_key for c in commits.values()} - {None}
    rejects = [entry.key for entry in lake.list(layout.quarantine_prefix(feed))]
    for key in rejects:
        table, _ = lake.read_table(key)
        seen.update(set(_offsets(table.filter(pc.invert(pc.field("partial"))))))
    doubled = sum(count > 1 for count in seen.values())
    TALLY.doubled += doubled
    assert not doubled, [o for o, count in seen.items() if count > 1][:20]
    if not drained:
        return
    offsets = planner.poll()[settings.feeds[feed].topic]
    assert offsets is not None
    expected = {(p, o) for p, polled in offsets.partitions.items() for o in range(polled.end)}
    TALLY.records += len(expected)
    TALLY.lost += len(expected - seen.keys())
    assert seen.keys() == expected
    assert set(rejects) == named
    assert not state.pending
    assert commits.keys() == set(range(state.next_seq))


def assert_lost_and_doubled_nothing(settings: Settings, folder: Path) -> None:
    """Every offset is there once, and every table as it is without faults."""
    assert_every_offset_once(settings)
    assert_equal_to_a_run_without_faults(settings, folder / "undisturbed")


def assert_equal_to_a_run_without_faults(settings: Settings, folder: Path) -> None:
    """Bronze, quarantine, silver and gold row by row those of another lake, made undisturbed."""
    aws = settings.aws.model_copy(update={"bucket": f"{settings.aws.bucket}-undisturbed"})
    undisturbed = settings.model_copy(update={"aws": aws})
    ensure_bucket(aws)
    folder.mkdir(exist_ok=True)
    while Job("plan", undisturbed, folder).result():
        Job("ingest", undisturbed, folder).result()
    Job("refresh", undisturbed, folder).result()
    ours, theirs = Lake(settings.aws), Lake(aws)
    for feed in settings.feeds:
        for prefix in (layout.bronze_prefix(feed), layout.quarantine_prefix(feed)):
            order = [(column, "ascending") for column in ("kafka_partition", "kafka_offset")]
            assert _whole(ours, prefix).sort_by(order) == _whole(theirs, prefix).sort_by(order)
    for table in TABLES.values():
        prefix = layout.table_prefix(table.layer, table.name)
        keys = [entry.key for entry in theirs.list(prefix)]
        assert [entry.key for entry in ours.list(prefix)] == keys
        for key in keys:
            got = ours.read_table(key)[0].replace_schema_metadata(None)
            expected = theirs.read_table(key)[0].replace_schema_metadata(None)
            assert got == expected, key


def _offsets(table: pa.Table) -> list[tuple[int, int]]:
    columns = (table[name].to_pylist() for name in ("kafka_partition", "kafka_offset"))
    return list(zip(*columns, strict=True))


def _whole(lake: Lake, prefix: str) -> pa.Table:
    tables = [lake.read_table(entry.key)[0] for entry in lake.list(prefix)]
    return pa.concat_tables([t.replace_schema_metadata(None) for t in tables])
