"""`stock-pipeline quarantine`: what was rejected, why, and its way back."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

import typer

from stock_pipeline.commands.feed import feed_settings
from stock_pipeline.commands.waiting import tell_what_became_of
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.rejects.quarantine import OpenRejects, open_rejects
from stock_pipeline.ingest.rejects.reread_plans import plan_requeue, whole_rejects
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import get_settings

quarantine = typer.Typer(
    help="What was rejected, why, and its way back.", no_args_is_help=True, add_completion=False
)

#: Characters of a payload that `show` prints.
SHOWN = 200

FeedOption = Annotated[str | None, typer.Option(help="One feed; all without it.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only this reason code.")]
BatchOption = Annotated[int | None, typer.Option(min=0, help="Only this batch.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@quarantine.command("list")
def list_(
    feed: FeedOption = None, reason: ReasonOption = None, as_json: JsonOption = False
) -> None:
    """Count rejects that wait, by feed, batch and reason."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    lines: list[dict[str, object]] = []
    for name in _feeds(feed):
        for found in _open(name, reason, None):
            rejects = found.rejects
            counts = Counter(
                zip(rejects["reason"].to_pylist(), rejects["partial"].to_pylist(), strict=True)
            )
            lines += [
                {
                    "feed": name,
                    "batch": found.decision.plan.seq,
                    "planned_at": found.decision.plan.planned_at.isoformat(" ", "minutes"),
                    "reason": code,
                    "rejects": count,
                    "partial": partial,
                }
                for (code, partial), count in sorted(counts.items())
            ]
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    if not lines:
        typer.echo("No rejects wait.")
        return
    # The time of planning is left out: with it the table does not fit 80 characters.
    table = Table("feed", "batch", "reason", "rejects", "is", box=SIMPLE_HEAD)
    for line in lines:
        cells = [str(line[name]) for name in ("feed", "batch", "reason", "rejects")]
        table.add_row(*cells, "part of a document" if line["partial"] else "a whole record")
    Console().print(table)


@quarantine.command()
def show(
    feed: Annotated[str, typer.Argument(metavar="FEED")],
    reason: ReasonOption = None,
    batch: BatchOption = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show rejects: where they were, why, and how their bytes begin."""
    lines: list[dict[str, object]] = []
    for found in _open(feed, reason, batch, payloads=True):
        for row in found.rejects.slice(0, limit - len(lines)).to_pylist():
            payload = row["payload"]
            lines.append(
                {
                    "batch": found.decision.plan.seq,
                    "partition": row["kafka_partition"],
                    "offset": row["kafka_offset"],
                    "time": row["kafka_timestamp"].isoformat(" ", "milliseconds"),
                    "reason": row["reason"],
                    "detail": row["detail"],
                    "bytes": None if payload is None else len(payload),
                    "payload": None if payload is None else _printable(payload),
                }
            )
        if len(lines) >= limit:
            break
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    if not lines:
        typer.echo("No such rejects wait.")
    for line in lines:
        typer.echo(
            f"batch {line['batch']} partition {line['partition']} offset {line['offset']} "
            f"({line['time']} UTC) {line['reason']}: {line['detail']}"
        )
        size = "no value" if line["bytes"] is None else f"{line['bytes']:,} bytes"
        typer.echo(f"  {size}  {line['payload'] or ''}")


@quarantine.command()
def replay(
    feed: Annotated[str, typer.Argument(metavar="FEED")],
    reason: ReasonOption = None,
    batch: BatchOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until they are decided.")] = True,
) -> None:
    """Decode rejects again, after the decoder was mended or its limits were raised.

    They come back through the offset log, one batch for each batch that rejected them, once; what
    is rejected again waits again. Silver partitions that they touch become due.
    """
    found = _open(feed, reason, batch)
    whole = [one for one in found if whole_rejects(one.rejects)]
    count = sum(len(o) for one in whole for o in whole_rejects(one.rejects).values())
    partial = sum(one.rejects.num_rows for one in found) - count
    if partial:
        typer.echo(
            f"{partial:,} bad bars lie in documents whose other bars were accepted: mend the "
            f"decoder, then read their batches again: stock-pipeline batch supersede {feed} ..."
        )
    if not whole:
        typer.echo("No such rejects wait.")
        return
    if not yes:
        typer.confirm(f"Decode {count:,} rejects of {len(whole)} batches again?", abort=True)
    plans = []
    log = _log(feed)
    for one in whole:
        plan = plan_requeue(log, one)
        if plan:
            typer.echo(f"Rejects of batch {one.decision.plan.seq} come back as batch {plan.seq}.")
            plans.append(plan)
    tell_what_became_of(log, plans, wait=wait)


def _feeds(feed: str | None) -> list[str]:
    settings = get_settings()
    if feed is None:
        return list(settings.feeds)
    feed_settings(settings, feed)
    return [feed]


def _log(feed: str) -> OffsetLog:

    settings = get_settings()
    feed_settings(settings, feed)
    return OffsetLog(Lake(settings.aws), feed)


def _open(
    feed: str, reason: str | None, batch: int | None, *, payloads: bool = False
) -> list[OpenRejects]:
    log = _log(feed)
    found = open_rejects(log, log.state(), payloads=payloads, batch=batch, reason=reason)
    return list(found)


def _printable(payload: bytes) -> str:
    """The first characters, escaped: what a stranger sent must not steer the terminal."""
    text = payload[:SHOWN].decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown + ("…" if len(payload) > SHOWN else "")
