"""Landed history for `verify`: every object read, and held against what its key says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.history import bars as history
from stock_pipeline.lake import layout
from stock_pipeline.lake.layout import Landed
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.plain_text import counted
from stock_pipeline.verify.feed import Progress
from stock_pipeline.verify.objects import body
from stock_pipeline.verify.report import Check, Kind, VerifyFinding

_RESTORE = (
    "Restore it from the bucket's versions or a backup; or delete it and backfill its partition of "
    "landing/ again."
)


def verify_landing(lake: Lake, progress: Progress) -> tuple[Check, list[VerifyFinding]]:
    """Read all landed objects; what silver made of them is compared with the tables."""
    findings: list[VerifyFinding] = []
    rows = read = 0
    listed = list(lake.list(layout.LANDING_PREFIX))
    for n, entry in enumerate(listed):
        progress("landing", n + 1, len(listed))
        landed = layout.landed_of_key(entry.key)
        if landed is None:
            sentence = f"{entry.key} lies among landed history and is none; nobody reads it."
            action = "Move it out of landing/."
            findings.append(VerifyFinding(Kind.FOREIGN_OBJECT, sentence, entry.key, action))
            continue
        try:
            with body(lake, entry.key) as found:
                read += found.size
                bars = history.from_csv(found.file.read())
                wrong = found.intact is False
        except ObjectNotFoundError:
            continue
        except history.NotLandedError as error:
            sentence = f"{entry.key} cannot be read as landed history ({error})."
            findings.append(VerifyFinding(Kind.CHANGED_OBJECT, sentence, entry.key, _RESTORE))
            continue
        rows += bars.num_rows
        if wrong:
            sentence = f"The bytes of {entry.key} do not have the checksum that the store names."
            findings.append(VerifyFinding(Kind.CHANGED_OBJECT, sentence, entry.key, _RESTORE))
        elif strange := _strange(bars, landed):
            sentence = f"{entry.key} holds {counted(strange, 'bar')} of another period or source."
            findings.append(VerifyFinding(Kind.CHANGED_OBJECT, sentence, entry.key, _RESTORE))
    sentence = f"{counted(len(listed), 'object')} read, {counted(rows, 'bar')}"
    return Check("landing", sentence, read, len(findings)), findings


def _strange(bars: pa.Table, landed: Landed) -> int:
    """Bars that do not belong where they are."""
    ours = bars.filter(
        (pc.field("interval") == landed.interval)
        & (pc.field("source") == landed.source)
        & (pc.field("trade_date") >= pa.scalar(landed.first, pa.date32()))
        & (pc.field("trade_date") < pa.scalar(landed.end, pa.date32()))
    )
    return int(bars.num_rows - ours.num_rows)


def partitions_landed(lake: Lake, first: date, last: date | None) -> Iterator[tuple[str, str]]:
    """Silver partitions that objects written on these days may belong to: table and partition."""
    for entry in lake.list(layout.LANDING_PREFIX):
        day = entry.modified.date()
        landed = layout.landed_of_key(entry.key)
        if landed and first <= day <= (last or day):
            yield from history.partitions_of_key(landed)
