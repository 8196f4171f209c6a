from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from typer.testing import CliRunner

import stock_pipeline
from stock_pipeline import cli
from stock_pipeline.errors import (
    InternalError,
    StockPipelineError,
    StoppedError,
    TemporaryError,
    UsageError,
    UserError,
)
from stock_pipeline.sources.errors import BadKeyError, DailyLimitError, RequestError, SymbolError


def error_classes() -> set[type[BaseException]]:
    found: set[type[BaseException]] = set()
    for module in pkgutil.walk_packages(stock_pipeline.__path__, "stock_pipeline."):
        if module.name.endswith("__main__"):
            continue
        members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        ours = (c for _, c in members if c.__module__.startswith("stock_pipeline"))
        found |= {c for c in ours if issubclass(c, BaseException)}
    return found


def test_every_error_says_who_can_do_something_about_it() -> None:
    kinds = (UserError, TemporaryError, InternalError, StoppedError)
    found = error_classes() - {StockPipelineError}
    assert len(found) > 30
    # What a source raises is one of the kinds; `SourceError` itself is only caught.
    undecided = {c.__name__ for c in found if not issubclass(c, kinds)}
    assert undecided == {"SourceError"}


def test_no_two_errors_share_a_name() -> None:
    names = [c.__name__ for c in error_classes()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (UserError("Mend it."), 1),
        (TemporaryError("Later."), 1),
        (UsageError("There is no such feed."), 2),
        (RequestError("There is no such source."), 2),
        (BadKeyError("The key is wrong."), 2),
        (SymbolError("Nobody knows it."), 1),
        (DailyLimitError("Tomorrow.", until=None), 1),  # type: ignore[arg-type]
    ],
)
def test_a_command_ends_with_the_sentence_and_the_exit_code_of_its_error(
    error: StockPipelineError, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("stock_pipeline.commands.status.get_settings", fail)
    result = CliRunner().invoke(cli.app, ["status"])
    assert result.exit_code == exit_code
    assert result.stderr == f"{error}\n"
    assert not result.stdout


@pytest.mark.parametrize("error", [InternalError("An offset is missing."), KeyError("a bug")])
def test_a_bug_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("stock_pipeline.commands.status.get_settings", fail)
    result = CliRunner().invoke(cli.app, ["status"])
    assert result.exception is error
