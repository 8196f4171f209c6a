"""The streams of the settings as processes of the local profile: a `produce` each."""

from __future__ import annotations

from collections.abc import Mapping

from stock_pipeline.settings import Settings
from stock_pipeline.settings.sections.sources import StreamSettings
from stock_pipeline.sources.registry import key_problem
from stock_pipeline.stack.children import pipeline_command
from stock_pipeline.stack.processes import ProcessSpec

#: `produce` ends so where trying again changes nothing.
CANNOT_BE_DONE = 2


def process_name(name: str) -> str:
    """Of the stream's process and log."""
    return f"stream-{name}"


def stream_process(
    name: str, stream: StreamSettings, environment: Mapping[str, str]
) -> ProcessSpec:
    """A `stock-pipeline produce`, started again until it is over or cannot be done."""
    given = {
        "--source": stream.source,
        "--feed": stream.feed,
        "--symbols": ",".join(stream.symbols),
        "--what": stream.what,
        "--bar": stream.bar,
        "--interval": stream.interval,
    }
    arguments = [f"{flag}={value}" for flag, value in given.items() if value]
    arguments += [f"--option={key}={value}" for key, value in stream.options.items()]
    return ProcessSpec(
        name=process_name(name),
        command=pipeline_command("produce", *arguments),
        environment=environment,
        # Of a file; what a vendor sends has no end.
        runs_once=True,
        final_codes=frozenset({CANNOT_BE_DONE}),
        # It delivers what was fetched.
        stop_seconds=20.0,
    )


def missing_key(settings: Settings, stream: StreamSettings) -> str | None:
    """The sentence that says so, where the stream's source needs a key and has none."""
    return key_problem(settings, stream.source)


def described(name: str, stream: StreamSettings) -> str:
    """What it brings, in a few words."""
    symbols = ", ".join(stream.symbols[:5]) + (", ..." if len(stream.symbols) > 5 else "")
    every = f", every {stream.interval}" if stream.interval else ""
    return f"{name}: {stream.source} to {stream.feed}{f' ({symbols})' if symbols else ''}{every}"
