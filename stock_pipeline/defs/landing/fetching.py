"""A run that lands history: asks the vendor, keeps what came, and shows it for each partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import dagster as dg

from stock_pipeline.defs.preview import preview
from stock_pipeline.lib import history as kept_history
from stock_pipeline.lib.layout import Landed
from stock_pipeline.lib.plain_text import markdown
from stock_pipeline.lib.sessions import calendar_of
from stock_pipeline.resources.lake import Lake
from stock_pipeline.resources.landing import (
    Kept,
    LandedDamagedError,
    LandingContendedError,
    keep,
    live_incarnation,
    tell_changed,
)
from stock_pipeline.resources.table_sql import DEFAULT_CALENDAR, calendar_rules
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.sources.history import Fetched, History
from stock_pipeline.sources.source import (
    BadSymbolError,
    Notice,
    SourceError,
    UsageError,
)

#: Sentences in a failure and in metadata.
MOST_SENTENCES = 20


@dataclass
class _Outcome:
    """What became of the partitions of a run."""

    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    changed: bool = False


def land(
    context: dg.AssetExecutionContext, source: str, interval: str
) -> dg.MaterializeResult[Any]:
    """Fetch the partitions of a run; those that came are kept even if others did not.

    Raises:
        dg.Failure: Some did not come; one sentence for each.
    """
    settings = get_settings()
    partitions = {
        landed: str(key)
        for key in context.partition_keys
        for landed in [landed_of_partition(source, interval, key)]
    }
    lake, outcome = Lake(settings.aws), _Outcome()
    try:
        _land(context, settings, lake, source, partitions, outcome)
    finally:
        if outcome.changed:
            tell_changed(lake)
    if outcome.failures:
        for key, metadata in outcome.metadata.items():
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata)
            )
        told = list(dict.fromkeys(outcome.failures.values()))
        raise dg.Failure(
            f"{len(outcome.failures)} of {len(partitions)} partitions did not come; the others "
            f"are kept. {' '.join(told[:MOST_SENTENCES])}",
            metadata={
                "failures": dg.MetadataValue.md(
                    "\n".join(
                        f"- {markdown(key)}: {markdown(sentence)}"
                        for key, sentence in list(outcome.failures.items())[:MOST_SENTENCES]
                    )
                )
            },
            allow_retries=False,
        )
    for key, metadata in outcome.metadata.items():
        context.add_asset_metadata(metadata, partition_key=key)
    return dg.MaterializeResult()


def landed_of_partition(source: str, interval: str, key: str) -> Landed:
    """What a partition's object holds: of `2021|AAPL` a year, of `2021-03|AAPL` a month."""
    # Dimensions stand in the order of their names.
    period, _, symbol = key.partition("|")
    year, _, month = period.partition("-")
    first = date(int(year), int(month or 1), 1)
    follows = first.month % 12 + 1 if month else 1
    end = date(first.year + (follows == 1), follows, 1)
    return Landed(source, symbol, interval, first, end)


def questions(partitions: Sequence[Landed]) -> Iterator[list[Landed]]:
    """Partitions that one question answers: of days, all neighbouring years of a symbol."""
    for _, ours in groupby(sorted(partitions), lambda landed: landed.symbol):
        waiting: list[Landed] = []
        for landed in ours:
            if waiting and (
                landed.interval != kept_history.DAILY or waiting[-1].end != landed.first
            ):
                yield waiting
                waiting = []
            waiting.append(landed)
        yield waiting


def _land(
    context: dg.AssetExecutionContext,
    settings: Settings,
    lake: Lake,
    source: str,
    partitions: dict[Landed, str],
    outcome: _Outcome,
) -> None:
    wanted, rules = settings.history[source], calendar_rules(settings)
    default = wanted.calendar or DEFAULT_CALENDAR

    def notify(notice: Notice) -> None:
        if notice.kind != "pause":
            context.log.info(notice.sentence)

    def fail(asked: Sequence[Landed], error: Exception) -> None:
        outcome.failures |= {partitions[landed]: str(error) for landed in asked}

    try:
        history = History(settings, source, default, rules, dict(wanted.options), notify)
    except SourceError as error:
        fail(list(partitions), error)
        return
    incarnation = live_incarnation(settings, lake)
    waiting = list(questions(list(partitions)))
    with closing(history):
        while waiting:
            asked = waiting.pop(0)
            # Before the question: what is said live meanwhile is later knowledge.
            now = datetime.now(UTC)
            whole = asked[0]._replace(end=asked[-1].end)
            try:
                start, end = kept_history.window(whole, calendar_of(whole.symbol, rules, default))
            except ValueError as error:
                # No such calendar, or one that begins later.
                fail(asked, error)
                continue
            if start >= now:
                fetched = Fetched.nothing(f"{whole.first} lies in the future.")
            else:
                try:
                    fetched = history.fetch(whole.symbol, whole.interval, start, min(end, now))
                except (BadSymbolError, UsageError) as error:
                    fail(asked, error)
                    continue
                except SourceError as error:
                    # Of the key or the vendor: nobody else would get an answer.
                    fail([landed for each in (asked, *waiting) for landed in each], error)
                    return
            naive = now.replace(tzinfo=None)
            bars = kept_history.closed(fetched.bars, rules, default, naive)
            for landed in asked:
                rows = kept_history.landed_rows(bars, landed, naive, incarnation)
                try:
                    kept = keep(lake, landed, rows)
                except (LandedDamagedError, LandingContendedError) as error:
                    fail([landed], error)
                    continue
                outcome.changed |= kept.changed
                outcome.metadata[partitions[landed]] = _metadata(lake, kept, fetched)


def _metadata(lake: Lake, kept: Kept, fetched: Fetched) -> dict[str, Any]:
    rows = kept.rows
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": rows.num_rows,
        "bytes": kept.bytes,
        "changed": kept.changed,
        "new_or_corrected_bars": kept.fresh,
    }
    if kept.etag:
        metadata |= {"dagster/uri": lake.uri(kept.key), "etag": kept.etag}
    if rows.num_rows:
        column = "trade_date" if rows["interval"][0].as_py() == kept_history.DAILY else "bar_start"
        metadata |= {
            "first_bar": str(rows[column][0]),
            "last_bar": str(rows[column][-1]),
            "preview": dg.MetadataValue.md(preview(rows)),
        }
    else:
        metadata["no_data"] = "The vendor has given nothing for this symbol and period."
    told = list(dict.fromkeys(n.sentence for n in fetched.notices if n.kind != "pause"))
    if fetched.rejects.num_rows:
        first = fetched.rejects["detail"][0].as_py()
        told.append(f"{fetched.rejects.num_rows} bars are impossible and were left out: {first}")
    if told:
        sentences = "\n".join(f"- {markdown(s)}" for s in told[:MOST_SENTENCES])
        metadata["told"] = dg.MetadataValue.md(sentences)
    return metadata
