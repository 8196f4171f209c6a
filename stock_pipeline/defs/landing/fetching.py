"""A run that lands history: asks the vendor, keeps what came, and shows it for each partition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain, groupby
from typing import Any

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.defs.shared.pictures import preview, shown
from stock_pipeline.history import bars as kept_history
from stock_pipeline.history.fetch import Fetched, History
from stock_pipeline.history.store import (
    Kept,
    LandedDamagedError,
    LandingContendedError,
    keep,
    live_incarnation,
    tell_changed,
)
from stock_pipeline.lake.layout import Landed
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.plain_text import markdown
from stock_pipeline.lib.sessions import DEFAULT_CALENDAR, calendar_of
from stock_pipeline.settings import Settings
from stock_pipeline.settings.calendars import calendar_rules
from stock_pipeline.sources.errors import (
    BadSymbolError,
    RequestError,
    SourceError,
    UnavailableError,
)
from stock_pipeline.sources.source import Notice

#: Sentences in a failure and in metadata.
MOST_SENTENCES = 20


#: What became of the data when the lake does not answer.
CONSEQUENCE = "what has landed stays; materialize the partitions again"


@dataclass
class _Outcome:
    """What became of the partitions of a run."""

    kept: set[Landed] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    changed: bool = False


def land(
    context: dg.AssetExecutionContext,
    settings: Settings,
    lake: Lake,
    source: str,
    interval: str,
    clock: Clock = system_clock,
) -> None:
    """Fetch the partitions of a run; those that came are kept and shown even if others did not.

    Args:
        context: Of the run.
        settings: Hold the source's key.
        lake: Where bars land.
        source: The vendor.
        interval: Length of the bars.
        clock: Says which sessions are over.

    Raises:
        dg.Failure: Some did not come; one sentence for each.
    """
    partitions = {landed_of_partition(source, interval, k): k for k in context.partition_keys}
    outcome = _Outcome()
    try:
        _land(context, settings, lake, source, partitions, outcome, clock)
    finally:
        if outcome.changed:
            tell_changed(lake)
    if outcome.failures:
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
    clock: Clock,
) -> None:
    wanted, rules = settings.history[source], calendar_rules(settings)
    default = wanted.calendar or DEFAULT_CALENDAR

    def notify(notice: Notice) -> None:
        if notice.kind != "pause":
            context.log.info(notice.sentence)

    def fail(asked: Iterable[Landed], error: Exception) -> None:
        aws = isinstance(error, AWS_ERRORS)
        sentence = aws_sentence(error, CONSEQUENCE) if aws else str(error)
        failed = [landed for landed in asked if landed not in outcome.kept]
        outcome.failures |= {partitions[landed]: sentence for landed in failed}

    def fetched_of(asked: Sequence[Landed], now: datetime) -> Fetched:
        whole = asked[0]._replace(end=asked[-1].end)
        start, end = kept_history.window(whole, calendar_of(whole.symbol, rules, default))
        if start >= now:
            return Fetched.nothing(f"{whole.first} lies in the future.")
        return history.fetch(whole.symbol, whole.interval, start, min(end, now))

    def keep_each(asked: Sequence[Landed], fetched: Fetched, now: datetime) -> None:
        bars = kept_history.closed(fetched.bars, rules, default, now)
        for landed in asked:
            rows = kept_history.landed_rows(bars, landed, now, incarnation)
            try:
                kept = keep(lake, landed, rows)
            except (LandedDamagedError, LandingContendedError) as error:
                fail([landed], error)
                continue
            outcome.kept.add(landed)
            outcome.changed |= kept.changed
            # At once: a run that is terminated later shows what it landed.
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=partitions[landed],
                    metadata=_metadata(lake, kept, fetched),
                )
            )

    try:
        history = History(settings, source, default, rules, dict(wanted.options), notify, clock)
    except SourceError as error:
        fail(partitions, error)
        return
    incarnation = live_incarnation(settings, lake, source)
    waiting = list(questions(list(partitions)))
    silent = False
    with closing(history):
        while waiting:
            asked = waiting.pop(0)
            # Before the question: what is said live meanwhile is later knowledge.
            now = clock()
            try:
                keep_each(asked, fetched_of(asked, now), now.replace(tzinfo=None))
                silent = False
            except (BadSymbolError, RequestError, ValueError) as error:
                # A ValueError: no such calendar, or one that begins later.
                fail(asked, error)
                silent = False
            except (UnavailableError, *AWS_ERRORS) as error:
                fail(asked, error)
                if silent:
                    # The second in a row: the others would wait as long for nothing.
                    fail(chain.from_iterable(waiting), error)
                    return
                silent = True
            except SourceError as error:
                # Of the key or the quota: nobody else would get an answer.
                fail(chain(asked, *waiting), error)
                return


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
            "preview": dg.MetadataValue.md(shown("preview", preview, rows)),
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
