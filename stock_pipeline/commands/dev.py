"""`stock-pipeline dev`: the whole pipeline on this machine, until Ctrl-C."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stock_pipeline.commands.dev_overview import show_overview, status_line, stream_line, ui_url
from stock_pipeline.commands.stopping import stop_on_signals
from stock_pipeline.errors import StoppedError, UsageError
from stock_pipeline.ingest.topics.status import feed_statuses
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.settings import get_settings
from stock_pipeline.settings.emulator_keys import ensure_emulator_keys
from stock_pipeline.stack import children
from stock_pipeline.stack.apache import kafka_classpath
from stock_pipeline.stack.apache_jars import KAFKA_VERSION, cache_folder
from stock_pipeline.stack.children import is_loopback
from stock_pipeline.stack.chosen_broker import home_of, trimmer_of
from stock_pipeline.stack.code_location import reload_unreachable_locations
from stock_pipeline.stack.homelock import HomeLock
from stock_pipeline.stack.local import LocalStack
from stock_pipeline.stack.ports import await_ports
from stock_pipeline.stack.streams import missing_key, stream_process

if TYPE_CHECKING:
    from rich.console import Console

    from stock_pipeline.settings import AwsSettings, Settings

STATUS_SECONDS = 15.0
#: How long the watchdog of a killed `dev` may take to stop what that one had started.
ABANDONED_SECONDS = 20.0
#: After this long the simulator has sent its history.
HISTORY_SECONDS = 60.0


OPEN_UI = (
    "Warning: Dagster's UI listens on {host} and has no login; whoever reaches it may start runs, "
    "stop them and read what they print. docs/security.md shows a proxy that asks for a password."
)


def dev(
    simulator: Annotated[
        bool, typer.Option(help="Simulate a market and replay sample prices once.")
    ] = True,
    dagster: Annotated[bool, typer.Option(help="Start Dagster.")] = True,
    streams: Annotated[bool, typer.Option(help="Start the streams of the settings.")] = True,
    broker: Annotated[
        Literal["embedded", "apache"] | None,
        typer.Option(help="Which broker to start; the setting `broker` without it."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Where Dagster's UI listens; the setting `ui_host` without.")
    ] = None,
) -> None:
    """Run the whole pipeline on this machine until Ctrl-C: broker, AWS emulator, Dagster, market.

    Ports are settings: STOCK_PIPELINE__PORTS__KAFKA, __AWS and __DAGSTER.
    """
    from rich.console import Console

    console = Console(highlight=False)
    settings = get_settings()
    if broker:
        settings = settings.model_copy(update={"broker": broker})
    if host:
        settings = settings.model_copy(update={"ui_host": host})
    if dagster and not is_loopback(settings.ui_host):
        console.print(OPEN_UI.format(host=settings.ui_host), style="yellow", soft_wrap=True)
    if settings.profile != "local":
        raise UsageError(
            f"`dev` is for profile local, the settings say {settings.profile}; nothing was started."
        )
    try:
        # A flag: an exception out of a signal handler could lose a child just started.
        with stop_on_signals() as stop, HomeLock(settings.home.resolve()) as lock:
            ports = settings.ports.model_dump(exclude=None if dagster else {"dagster"})
            await_ports(ports, ABANDONED_SECONDS if lock.was_abandoned else 0.0)
            settings = settings.model_copy(update={"aws": aws_with_keys(settings)})
            if not streams:
                settings = settings.model_copy(update={"streams": {}})
            run(settings, console, stop, simulator=simulator, dagster=dagster)
    except StoppedError:
        console.print("Stopped before everything had started.")
    except KeyboardInterrupt:
        console.print("Not waiting any longer; a watchdog stops what still runs.")
        raise typer.Exit(1) from None


def aws_with_keys(settings: Settings) -> AwsSettings:
    """Settings of the emulator with keys that it takes, made at the first start in a home."""
    ensure_emulator_keys(settings.home)
    # The settings were read before the keys were made; those of .env or a variable stay.
    get_settings.cache_clear()
    return get_settings().aws


def run(
    settings: Settings, console: Console, stop: threading.Event, *, simulator: bool, dagster: bool
) -> None:
    """Start everything, keep it running until `stop` is set, stop everything.

    Raises:
        ProcessError: A part did not come up; everything has been stopped.
        StoppedError: Asked to stop before everything had started.
    """
    home = home_of(settings)
    stack = LocalStack(settings, home, lambda notice: say(console, notice), stop.is_set)
    simulator = simulator and settings.simulator.enabled
    history_made, replayed = home / "history.made", home / "sample.replayed"
    try:
        say(console, f"Starting; data and logs are kept in {home}")
        if settings.broker == "apache":
            fetch_apache(console)
        stack.start()
        if dagster:
            say(console, "Kafka and AWS are up, Dagster is starting (20 to 60 s)")
            stack.supervisor.start(
                children.dagster_process(
                    home, settings.ports.dagster, stack.environment, settings.ui_host
                )
            )
        if simulator:
            stack.supervisor.start(
                children.simulator_process(settings, history_made, stack.environment)
            )
            if not replayed.exists() and children.DAILY_FEED in settings.feeds:
                stack.supervisor.start(children.replay_process(stack.environment))
        start_streams(stack, console)
        show_overview(console, stack, simulator=simulator, dagster=dagster)
        watch(stack, console, stop, history_made if simulator else None, replayed, dagster=dagster)
    finally:
        say(console, "Stopping")
        stack.stop()
    say(console, "Stopped; the data is kept and the next start goes on with it")


def start_streams(stack: LocalStack, console: Console) -> None:
    """Start the streams of the settings; one without a key is told, and the others run."""
    for name, stream in stack.settings.streams.items():
        if problem := missing_key(stack.settings, stream):
            say(console, f"Stream {name} was not started. {problem}")
        else:
            stack.supervisor.start(stream_process(name, stream, stack.environment))


def fetch_apache(console: Console) -> None:
    """Get Apache Kafka, and say so when that takes a while.

    Raises:
        ApacheKafkaUnavailableError: Java or Maven is missing, or the artifacts out of reach.
    """
    if not cache_folder().exists():
        say(console, f"Maven fetches Apache Kafka {KAFKA_VERSION} to {cache_folder()} (once)")
    kafka_classpath()


def watch(
    stack: LocalStack,
    console: Console,
    stop: threading.Event,
    history_made: Path | None,
    replayed: Path,
    *,
    dagster: bool,
) -> None:
    """Restart what dies, remember what is needed only once, and say how far the feeds are."""
    status = threading.Thread(target=show_status, args=(stack, console, stop, dagster), daemon=True)
    status.start()
    simulating_since = time.monotonic()
    while not stop.wait(0.5):
        stack.supervisor.check()
        if stack.supervisor.has_succeeded("replay"):
            replayed.touch()
        if history_made is not None and not history_made.exists():
            if not stack.supervisor.child("simulator").is_alive:
                simulating_since = time.monotonic()
            elif time.monotonic() - simulating_since > HISTORY_SECONDS:
                history_made.touch()
    status.join(timeout=5)


def show_status(stack: LocalStack, console: Console, stop: threading.Event, dagster: bool) -> None:
    """Each 15 s until `stop` is set: a line about the feeds, and care of broker and code server."""
    from botocore.exceptions import BotoCoreError, ClientError
    from kafka.errors import KafkaError

    trimmer = trimmer_of(stack.settings)
    while not stop.wait(STATUS_SECONDS):
        try:
            statuses = feed_statuses(stack.settings)
            if trimmer:
                trimmer.trim()
        except (KafkaUnavailableError, KafkaError, BotoCoreError, ClientError) as error:
            say(console, f"no status: {str(error)[:120]}")
        else:
            if not stop.is_set():
                say(console, status_line(statuses) + stream_line(stack))
        if dagster and reload_unreachable_locations(ui_url(stack)):
            say(console, "Dagster's code server did not answer; it was started again.")


def say(console: Console, sentence: str) -> None:
    """Print one line with the time."""
    console.print(f"{time.strftime('%H:%M:%S')}  {sentence}", markup=False, soft_wrap=True)
