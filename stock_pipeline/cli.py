"""The command line: `stock-pipeline ...`; one module a command, imported when it is called.

With all of them imported `stock-pipeline --help` takes 1.9 s, this way 0.3 s (2 cores).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from stock_pipeline.errors import InternalError, StockPipelineError

if TYPE_CHECKING:
    from typer._click import Command, Context

#: Command, its module in `stock_pipeline.commands`, and the first line of its help.
COMMANDS = {
    "dev": (
        "dev",
        (
            "Run the whole pipeline on this machine until Ctrl-C: broker, AWS emulator, Dagster, "
            "market."
        ),
    ),
    "doctor": (
        "doctor",
        "Check every dependency and say in plain words what is wrong and what to do.",
    ),
    "iam": ("iam", "Print the IAM policies in infra/iam with the names of these settings."),
    "status": (
        "status",
        "Show every feed: last batch, what waits, what is undecided or lost.",
    ),
    "lag": ("status", "Show the records that wait, per topic and partition."),
    "simulate": (
        "simulate",
        "Send simulated trades: the hours just past if asked, then live until stopped.",
    ),
    "replay": ("replay", "Send a file's rows, or packaged real prices, to a feed's topic."),
    "produce": ("produce", "Fetch from a source and send to a feed's topic, until stopped."),
    "sources": (
        "sources",
        "List the sources; with --check, ask all whose keys are set, once each.",
    ),
    "verify": (
        "verify",
        "Compare the offset log, the lake, Kafka, the catalogue and Athena; changes nothing.",
    ),
    "where": (
        "where",
        "Tell the batch, the run and the object that hold an offset, and its row or reject.",
    ),
    "query": ("query", 'Ask the lake: bronze."<feed>", quarantine."<feed>", silver.* and gold.*.'),
    "feed": ("feed", "Decisions about a feed that only a person may make."),
    "batch": ("batch", "Decided batches, decided again."),
    "quarantine": ("quarantine", "What was rejected, why, and its way back."),
}


def load_command(name: str) -> Command:
    """Import a command's module and make the command."""
    command = getattr(import_module(f"stock_pipeline.commands.{COMMANDS[name][0]}"), name)
    if not isinstance(command, typer.Typer):
        of_its_own = typer.Typer(add_completion=False)
        of_its_own.command(name)(command)
        command = of_its_own
    made = get_command(command)
    made.name = name
    return made


class LazyCommands(TyperGroup):
    """Knows the commands by name and first line of help; imports the one that is called."""

    def __init__(self, **options: Any) -> None:
        stubs = {name: TyperCommand(name, help=help_) for name, (_, help_) in COMMANDS.items()}
        super().__init__(**options | {"commands": stubs})

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """The command that runs, with its module imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load_command(str(name)), rest

    def invoke(self, ctx: Context) -> Any:
        """Run the command; what goes wrong in a way that we foresaw is told without a traceback."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = explained(error)
            if told is None:
                raise
            sentence, exit_code = told
            typer.echo(sentence, err=True)
            raise typer.Exit(exit_code) from None


app = typer.Typer(cls=LazyCommands, no_args_is_help=True, pretty_exceptions_show_locals=False)


def _show_version(asked: bool) -> None:
    """Print the version of the installed package and exit, if `--version` was given."""
    if not asked:
        return
    # Imported when needed: it takes 30 ms, and no other option or command needs it here.
    from importlib.metadata import version as installed_version

    typer.echo(f"stock-pipeline {installed_version('stock-pipeline')}")
    raise typer.Exit


@app.callback()
def _stock_pipeline(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Market data from Kafka to a lake of Parquet, exactly once."""


def main() -> None:
    """Run a command."""
    app()


def explained(error: Exception) -> tuple[str, int] | None:
    """The sentence and the exit code of an error that we foresaw; None of a bug."""
    # Imported when needed: botocore takes 0.3 s, which a command without error need not pay.
    from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence

    if isinstance(error, StockPipelineError) and not isinstance(error, InternalError):
        return str(error), error.exit_code
    if isinstance(error, AWS_ERRORS):
        return aws_sentence(error, "the command has stopped there"), 1
    return None
