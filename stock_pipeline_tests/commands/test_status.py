"""The table of `stock-pipeline status`."""

from __future__ import annotations

import io

from rich.console import Console

from stock_pipeline.commands.status import feeds_table
from stock_pipeline.ingest.topics.status import FeedStatus


def shown(*statuses: FeedStatus) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(feeds_table(list(statuses)))
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines() if line.strip()]


def status(feed: str, topic: str, *, exists: bool = True) -> FeedStatus:
    waiting = {0: 1_234_567, 1: 0}
    planned_at = "2026-11-20T15:04:05.123456"
    return FeedStatus(feed, topic, exists, waiting, 12_345, (14_399,), 14_400, planned_at, 1)


def test_a_busy_feed_is_one_line_of_80_characters():
    _, _, line = shown(status("stock_index_daily", "stock_index_daily"))
    cells = ["stock_index_daily", "14400", "2026-11-20", "15:04", "1,234,567", "14399", "12,345"]
    assert line.split() == cells


def test_a_topic_with_a_name_of_its_own_stands_below_its_feed():
    lines = shown(status("trades", "exchange.trades.v2"), status("bars", "bars"))
    assert lines[2].startswith("trades ")
    assert lines[3] == "exchange.trades.v2"
    assert lines[4].startswith("bars ")
    assert len(lines) == 5


def test_a_missing_topic_is_named():
    assert shown(status("bars", "bars", exists=False))[-1] == "bars (missing)"
