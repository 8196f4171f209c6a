"""YAML of settings: parsed with the line of every key, refused in a sentence where it is bad."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

KeyPath = tuple[str, ...]

#: Values, repeated wherever an alias repeats them: a few lines can stand for billions.
MOST_VALUES = 100_000

_QUOTED = re.compile(r"""'[^']+'|"[^"]+\"""")
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


class BadYamlError(Exception):
    """What is wrong, without any value: that may be a secret.

    Attributes:
        line: From 1; None where it is not known.
        sentence: Begins with a small letter and ends with a full stop.
    """

    def __init__(self, line: int | None, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


class _Loader(yaml.SafeLoader):
    """Tells the line of a value that cannot be read, such as a date with month 13."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, OverflowError) as error:
            line = node.start_mark.line + 1
            raise BadYamlError(line, "this value is not valid YAML.") from error


@dataclass(frozen=True)
class Document:
    """What a text holds.

    Attributes:
        data: The values; an empty text is an empty mapping.
        lines: Line of every key and list item, from 1.
        repeated: Keys that one mapping holds twice: path, first line, second line.
    """

    data: Any
    lines: dict[KeyPath, int]
    repeated: list[tuple[KeyPath, int, int]]


def parse(text: str) -> Document:
    """Read one document.

    Raises:
        BadYamlError: The text is no YAML, or is made to do harm.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise _reader_error(text, error) from None
    try:
        node = loader.get_single_node()
        _refuse_harm(node)
        # Before construction, which writes merged keys into the nodes.
        repeated, lines = list(_repeated_keys(node)), dict(_lines(node))
        data = loader.construct_document(node) if node else {}
        return Document(data, lines, repeated)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else loader.line + 1
        raise BadYamlError(line, f"this is not valid YAML{_problem(error)}.") from None
    except RecursionError:
        sentence = "the values are nested too deeply."
        raise BadYamlError(loader.line + 1, sentence) from None
    except (ValueError, OverflowError):
        raise BadYamlError(loader.line + 1, "this is not valid YAML.") from None
    finally:
        loader.dispose()


def _lines(
    node: yaml.Node | None, path: KeyPath = (), above: tuple[int, ...] = ()
) -> Iterator[tuple[KeyPath, int]]:
    """Line of every key and list item."""
    if id(node) in above:
        return
    above += (id(node),)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, str(index))
            yield inner, value.start_mark.line + 1
            yield from _lines(value, inner, above)


def _repeated_keys(
    node: yaml.Node | None, path: KeyPath = (), above: tuple[int, ...] = ()
) -> Iterator[tuple[KeyPath, int, int]]:
    """Keys that one mapping holds twice: path, first line, second line."""
    if id(node) in above:
        return
    above += (id(node),)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in first and name != "<<":
                yield (*path, name), first[name], line
            first.setdefault(name, line)
            yield from _repeated_keys(value, (*path, name), above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, (*path, str(index)), above)


def is_text(value: str) -> bool:
    """Whether a value holds nothing but what shows, line ends and tabs."""
    return value.isprintable() or not any(
        unicodedata.category(c) in {"Cc", "Cs"} and c not in "\t\n\r" for c in value
    )


def _refuse_harm(node: yaml.Node | None) -> None:
    """Refuse what would cost hours of walking, and keys and characters that are no text.

    Raises:
        BadYamlError: With the line.
    """
    sizes: dict[int, int] = {}
    if node is not None and _size(node, sizes, set()) > MOST_VALUES:
        raise BadYamlError(1, f"the file stands for more than {MOST_VALUES:,} values.")


def _size(node: yaml.Node, sizes: dict[int, int], open_: set[int]) -> int:
    """Values that a node stands for with its aliases written out; each node is visited once."""
    if (known := sizes.get(id(node))) is not None:
        return known
    line = node.start_mark.line + 1
    if id(node) in open_:
        raise BadYamlError(line, "this value holds itself.")
    if isinstance(node, yaml.ScalarNode):
        if not is_text(node.value):
            raise BadYamlError(line, "this value holds a control character.")
        return 1
    open_.add(id(node))
    parts: list[yaml.Node] = []
    for item in node.value:
        if isinstance(node, yaml.MappingNode):
            key, value = item
            if key.tag not in {_TEXT, _MERGE}:
                raise BadYamlError(
                    key.start_mark.line + 1, "this key is not text; put it in quotes."
                )
            parts += (key, value)
        else:
            parts.append(item)
    sizes[id(node)] = 1 + sum(_size(part, sizes, open_) for part in parts)
    open_.discard(id(node))
    return sizes[id(node)]


def _reader_error(text: str, error: yaml.YAMLError) -> BadYamlError:
    """A character that YAML does not allow; the reader tells its place, not its line."""
    at = getattr(error, "position", 0)
    return BadYamlError(text.count("\n", 0, at) + 1, "this line holds a control character.")


def _problem(error: yaml.YAMLError) -> str:
    """What the parser says, without the quoted text: that may be part of a secret."""
    problem = getattr(error, "problem", None)
    return f" ({_QUOTED.sub('...', problem)})" if problem else ""
