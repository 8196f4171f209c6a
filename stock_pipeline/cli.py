"""The command line: `stock-pipeline ...`; one module a command."""

from __future__ import annotations

import sys

import typer

from stock_pipeline.commands.batch import batch
from stock_pipeline.commands.dev import dev
from stock_pipeline.commands.doctor import doctor
from stock_pipeline.commands.feed import feed
from stock_pipeline.commands.iam import iam
from stock_pipeline.commands.produce import produce
from stock_pipeline.commands.quarantine import quarantine
from stock_pipeline.commands.query import query
from stock_pipeline.commands.replay import replay
from stock_pipeline.commands.simulate import simulate
from stock_pipeline.commands.sources import sources
from stock_pipeline.commands.status import lag, status
from stock_pipeline.commands.verify import verify
from stock_pipeline.commands.where import where

app = typer.Typer(
    help="Market data from Kafka to a lake of Parquet, exactly once.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
for command in (
    dev,
    doctor,
    iam,
    status,
    lag,
    simulate,
    replay,
    produce,
    sources,
    verify,
    where,
    query,
):
    app.command()(command)
app.add_typer(feed, name="feed")
app.add_typer(batch, name="batch")
app.add_typer(quarantine, name="quarantine")


def main() -> None:
    """Run a command; what goes wrong in a known way is one sentence, not a traceback."""
    from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
    from stock_pipeline.kafka.control import KafkaUnavailableError
    from stock_pipeline.lake.store import DamagedObjectError
    from stock_pipeline.settings import SettingsError

    try:
        app()
    except (SettingsError, KafkaUnavailableError, DamagedObjectError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    except AWS_ERRORS as error:
        sys.stderr.write(f"{aws_sentence(error, 'the command has stopped there')}\n")
        raise SystemExit(1) from None
