"""What `dev` shows: what runs and where, and now and then how far it is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stock_pipeline.settings.emulator_keys import FILE_NAME, emulator_keys
from stock_pipeline.stack.children import ui_address
from stock_pipeline.stack.streams import described, process_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stock_pipeline.ingest.topics.status import FeedStatus
    from stock_pipeline.settings import Settings
    from stock_pipeline.stack.local import LocalStack


def show_overview(console: Console, stack: LocalStack, *, simulator: bool, dagster: bool) -> None:
    """Print what runs, where, what to look at first and how to stop."""
    from rich.table import Table

    settings, market = stack.settings, stack.settings.simulator
    table = Table(title="stock_pipeline is up", show_header=False, title_justify="left", box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    if dagster:
        table.add_row("Dagster", ui_url(stack))
    kafka = {"embedded": "embedded broker", "apache": "Apache Kafka"}[settings.broker]
    table.add_row("Kafka", f"{stack.bootstrap_servers} ({kafka}), topics: {len(settings.feeds)}")
    table.add_row("S3, Glue, Athena", f"{stack.endpoint_url}, bucket: {settings.aws.bucket}")
    if simulator:
        rate = f"{market.records_per_second:g} trades/s of {len(market.symbols)} symbols"
        table.add_row("Simulator", f"{rate} to {market.feed}")
    for name, stream in settings.streams.items():
        runs = stack.supervisor.is_alive(process_name(name))
        table.add_row("Stream", described(name, stream) + ("" if runs else "; does not run"))
    table.add_section()
    if dagster:
        table.add_row("Look first at", f"{ui_url(stack)}/asset-groups (bronze fills first)")
    table.add_row("In a terminal", f"{command_line()} status, ... query --help")
    table.add_row("To stop", "Ctrl-C; the data is kept")
    console.print(table)
    # Below the table, which would break the line where it ends: it is there to be copied.
    console.print(f"AWS's own tools: {aws_command_line(settings)}", markup=False, soft_wrap=True)


def status_line(feeds: Sequence[FeedStatus]) -> str:
    """What waits and what was ingested, of the feeds that have seen a record."""
    parts = []
    for feed in feeds:
        waiting = sum(feed.waiting.values())
        if feed.last_batch < 0 and not waiting:
            continue
        batch = f"batch {feed.last_batch}" if feed.last_batch >= 0 else "no batch yet"
        lost = f", {feed.lost:,} LOST" if feed.lost else ""
        parts.append(f"{feed.feed}: {batch}, {waiting:,} waiting{lost}")
    quiet = len(feeds) - len(parts)
    if quiet:
        parts.append(f"{quiet} feed{'s' if quiet > 1 else ''} without records")
    return " | ".join(parts)


def stream_line(stack: LocalStack) -> str:
    """How many streams run, and which do not."""
    names, supervisor = list(stack.settings.streams), stack.supervisor
    down = [name for name in names if not supervisor.is_alive(process_name(name))]
    if not names:
        return ""
    line = f" | {len(names) - len(down)} of {len(names)} streams run"
    return f"{line}, not {', '.join(down)}" if down else line


def aws_command_line(settings: Settings) -> str:
    """How to ask the emulator with the `aws` command; names the file of the keys, never a key."""
    file, aws = settings.home.resolve() / FILE_NAME, settings.aws
    where = f"--region {aws.region} --endpoint-url {aws.endpoint_url}"
    ask = f"{where} s3 ls s3://{aws.bucket}/"
    key = aws.access_key_id.get_secret_value() if aws.access_key_id else ""
    if key != emulator_keys(settings.home).access_key_id:
        return f"aws {ask}, with the keys of your settings"
    # With a profile that is named, keys in the environment do not count.
    return f"AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(file))} aws --profile default {ask}"


def ui_url(stack: LocalStack) -> str:
    """Address of Dagster's UI."""
    return ui_address(stack.settings.ui_host, stack.settings.ports.dagster)


def command_line() -> str:
    """Our command as one can type it here: `.venv/bin/stock-pipeline` without activation."""
    script = Path(sys.executable).with_name("stock-pipeline")
    return str(script.relative_to(Path.cwd())) if script.is_relative_to(Path.cwd()) else script.name
