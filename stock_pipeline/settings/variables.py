"""Variables of `.env` and of the environment that set settings."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dotenv.parser import parse_stream

from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.settings.errors import KeyPath, SettingsError

#: STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS sets kafka.bootstrap_servers.
ENVIRONMENT_PREFIX = "STOCK_PIPELINE__"


@dataclass(frozen=True)
class Variable:
    """A value from outside the file.

    Attributes:
        keys: The parts of the setting's name, lower case with `_`, as variables can spell them.
        value: The text, never empty.
        place: Where it was set, for errors.
    """

    keys: list[str]
    value: str
    place: str


def variable(path: KeyPath) -> str:
    """The environment variable that sets this key."""
    return ENVIRONMENT_PREFIX + "__".join(path).upper()


def of_environment(environment: Mapping[str, str]) -> Iterator[Variable]:
    """Our variables of an environment; an empty one is not set."""
    for name, value in environment.items():
        yield from _ours(name, value, f"environment variable {name}")


def of_dotenv(text: str, file: str) -> Iterator[Variable]:
    """Our variables of a `.env` text; an empty one is not set.

    Args:
        text: The text.
        file: Its name, for errors.

    Raises:
        SettingsError: A line is no assignment.
    """
    for binding in parse_stream(io.StringIO(text)):
        # The parser counts a binding from the blank lines before it.
        blank = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
        line = binding.original.line + binding.original.string[:blank].count("\n")
        if binding.error:
            raise SettingsError(f"{one_line(file)}:{line}: this line is not NAME=value.")
        if binding.key and binding.value:
            yield from _ours(binding.key, binding.value, f"{file}:{line} ({binding.key})")


def _ours(name: str, value: str, place: str) -> Iterator[Variable]:
    if name.startswith(ENVIRONMENT_PREFIX) and value:
        yield Variable(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"), value, place)
