"""What is wrong with settings: a key and a sentence each, and the error that lists them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import PydanticCustomError

from stock_pipeline.errors import UserError

#: The parts of a setting's name: `("kafka", "bootstrap_servers")`.
KeyPath = tuple[str, ...]

#: The setting that breaks a rule, and the sentence that says so.
Problem = tuple[KeyPath, str]

#: Error type of a rule that several settings break together; its context holds `problems`.
RELATION = "relation"


class SettingsError(UserError):
    """The settings cannot be used; one line per problem: file, line, key, and what is allowed."""


def broken(problems: Sequence[Problem]) -> PydanticCustomError:
    """The error that a validator raises for settings that do not fit together."""
    sentences = " ".join(sentence for _, sentence in problems)
    return PydanticCustomError(
        RELATION, "{sentences}", {"sentences": sentences, "problems": problems}
    )
