"""YAML of settings: read with the line of every key, refused in a sentence where it is bad."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import yaml

from stock_pipeline.errors import UserError
from stock_pipeline.settings.errors import KeyPath

_QUOTED = re.compile(r"""'[^']+'|"[^"]+\"""")
_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}


class BadYamlError(UserError):
    """What is wrong, without any value: that may be a secret.

    Attributes:
        line: From 1.
        sentence: Begins with a small letter and ends with a full stop.
    """

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


class _Loader(yaml.SafeLoader):
    """Tells the line of a value that cannot be read, such as a date with month 13."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise BadYamlError(_line(node), "this value is not valid YAML.") from error


def parse(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """The values of one document, and the line of every key and list item, from 1.

    An empty text is an empty mapping.

    Raises:
        BadYamlError: The text is no YAML, a key is no text, or a mapping has a key twice.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        # Before construction, which writes merged keys into the nodes.
        lines = dict(_lines(node, (), set())) if node else {}
        return loader.construct_document(node) if node else {}, lines
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadYamlError(line, "this line holds a control character.") from None
    except yaml.MarkedYAMLError as error:
        # What the parser says, without the quoted text: that may be part of a secret.
        problem = _QUOTED.sub("...", error.problem or "")
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise BadYamlError(line, f"this is not valid YAML ({problem}).") from None
    except (ArithmeticError, RecursionError, ValueError):
        raise BadYamlError(loader.line + 1, "this is not valid YAML.") from None


def _lines(node: yaml.Node, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, int]]:
    """Line of every key and list item; what an alias repeats has lines where it was written."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if not is_text(node.value):
            raise BadYamlError(_line(node), "this value holds a control character.")
        return
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, str(index)), _line(value)
            yield from _lines(value, (*path, str(index)), seen)
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        line, name = _line(key), str(key.value)
        inner = (*path, name)
        if key.tag not in _KEY_TAGS:
            raise BadYamlError(line, "this key is not text; put it in quotes.")
        if name in first and name != "<<":
            sentence = (
                f"{'.'.join(inner)} is set a second time; the first is in line {first[name]}, "
                "and only one may stay."
            )
            raise BadYamlError(line, sentence)
        first[name] = line
        yield inner, line
        yield from _lines(key, inner, seen)
        yield from _lines(value, inner, seen)


def is_text(value: str) -> bool:
    """Whether a value holds nothing but what shows, line ends and tabs."""
    return value.isprintable() or not any(
        unicodedata.category(c) in {"Cc", "Cs"} and c not in "\t\n\r" for c in value
    )


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
