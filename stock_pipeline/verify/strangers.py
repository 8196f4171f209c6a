"""Objects that nothing names, for `verify`: every reader of a folder would see their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from stock_pipeline.ingest.documents import Plan
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings
from stock_pipeline.tables.due import key_of
from stock_pipeline.verify.report import Kind, VerifyFinding

_MOVE = "Move it out of the table's folder: whoever queries the table sees its rows."


def strangers_of_feed(
    lake: Lake,
    feed: str,
    folders: Iterable[str],
    named: Collection[str],
    plan_of: Callable[[int], Plan | None],
) -> Iterator[VerifyFinding]:
    """Objects of a feed's bronze and quarantine that no batch names.

    Args:
        lake: Where they are.
        feed: Name of the feed.
        folders: Prefixes to look into.
        named: Keys that plans and commits name.
        plan_of: The log's plan as it is now: batches that were planned since are no strangers.
    """
    ours = re.compile(rf"^{re.escape(feed)}-(\d{{{layout.SEQ_DIGITS}}})\.parquet$")
    for folder in folders:
        for entry in lake.list(folder):
            if entry.key in named:
                continue
            match = ours.match(entry.key.rsplit("/", 1)[1])
            seq = int(match[1]) if match else None
            plan = plan_of(seq) if seq is not None else None
            if plan and seq is not None:
                keys = (
                    layout.bronze_key(feed, seq, plan.arrival_date),
                    layout.quarantine_key(feed, seq, plan.arrival_date),
                )
                if entry.key in keys and keys[0] not in named:
                    continue  # Planned since, or outside of the dates asked for.
                if entry.key == keys[1]:
                    sentence = f"{entry.key} is in quarantine, but batch {seq} has no such rejects."
                    yield VerifyFinding(Kind.ORPHAN, sentence, entry.key, _MOVE, feed, seq)
                    continue
            sentence = (
                f"{entry.key} lies among the objects of feed {feed}, and no batch of its log "
                "wrote it."
            )
            yield VerifyFinding(Kind.FOREIGN_OBJECT, sentence, entry.key, _MOVE, feed, seq)


def strangers_of_log(feed: str, keys: Iterable[str]) -> Iterator[VerifyFinding]:
    """Objects among a feed's plans and commits that are neither."""
    for key in keys:
        sentence = f"{key} lies in the offset log of feed {feed} and belongs to no batch."
        yield VerifyFinding(Kind.FOREIGN_OBJECT, sentence, key, "Move it out of the log.", feed)


def strangers_of_tables(lake: Lake) -> Iterator[VerifyFinding]:
    """Objects of the silver and gold layers that are no partition of a table."""
    tables = {(t.layer, t.name): t for t in TABLES.values()}
    for layer in ("silver", "gold"):
        for entry in lake.list(f"{layer}/"):
            parts = entry.key.split("/")
            table = tables.get((layer, parts[1])) if len(parts) == 4 else None
            if table:
                column, _, value = parts[2].partition("=")
                form = r"\d{4}-\d\d-\d\d" if table.partition_column == "trade_date" else r"\d{4}"
                if (
                    column == table.partition_column
                    and re.fullmatch(form, value)
                    and entry.key == key_of(table, value)
                ):
                    continue
            sentence = f"{entry.key} lies in layer {layer} and is no partition of its tables."
            yield VerifyFinding(Kind.FOREIGN_OBJECT, sentence, entry.key, _MOVE)


def strangers_of_lake(lake: Lake, settings: Settings) -> tuple[list[VerifyFinding], list[str]]:
    """Folders of feeds that the settings do not name; a note where such a feed has a log."""
    findings, notes = [], []
    for layer in ("bronze", "quarantine"):
        for folder in _folders(lake, f"{layer}/"):
            feed = folder.split("/")[1]
            if feed in settings.feeds:
                continue
            if next(iter(lake.list(f"_offset_log/{feed}/")), None):
                notes.append(f"{folder}: feed {feed} is not in the settings, it was not verified.")
                continue
            sentence = f"{folder} holds objects, and there is no feed {feed} nor a log of one."
            findings.append(VerifyFinding(Kind.FOREIGN_OBJECT, sentence, folder, _MOVE))
    return findings, sorted(set(notes))


def _folders(lake: Lake, prefix: str) -> Iterator[str]:
    pages = lake.client.get_paginator("list_objects_v2").paginate(
        Bucket=lake.bucket, Prefix=prefix, Delimiter="/"
    )
    for page in pages:
        yield from (folder["Prefix"] for folder in page.get("CommonPrefixes", []))
