"""The long form: mutated payloads by the million through every decoder, in processes of their own.

Prints what it did at the end; exit code 1 when a property broke, a process died or one hung.
"""

from __future__ import annotations

import argparse
import sys

from stock_pipeline.lib.formats import FORMATS
from stock_pipeline_tests.fuzz.campaign import Campaign, Result


def main() -> int:
    """Run the campaign that the arguments describe."""
    parser = argparse.ArgumentParser(
        prog="python -m stock_pipeline_tests.fuzz", description=__doc__
    )
    parser.add_argument("--payloads", type=int, default=1_000_000, help="over all formats")
    parser.add_argument("--format", choices=sorted(FORMATS), action="append")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; a batch takes one")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=400, help="payloads in one batch")
    given = parser.parse_args()
    campaign = Campaign(
        payloads=given.payloads,
        formats=tuple(given.format or sorted(FORMATS)),
        first_seed=given.seed,
        batch=given.batch,
        workers=given.workers,
    )
    result = _with_progress(campaign) if sys.stderr.isatty() else campaign.run()
    for failure in result.failures[:20]:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(f"{result.summary()}\n")
    return 1 if result.failures else 0


def _with_progress(campaign: Campaign) -> Result:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("Fuzzing", BarColumn(), MofNCompleteColumn(), "payloads", TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=campaign.payloads)
        return campaign.run(lambda done: progress.advance(task, done))


if __name__ == "__main__":
    sys.exit(main())
