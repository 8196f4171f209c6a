"""Where settings come from: the layers with the file and line of each value, and plain errors."""

from __future__ import annotations

import io
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

KeyPath = tuple[str, ...]

_QUOTED = re.compile(r"""'[^']+'|"[^"]+\"""")

#: Error type of a rule that several settings break together; its context holds `problems`.
RELATION = "relation"
#: Names of more settings than this are not listed in an error.
MOST_NAMES_LISTED = 12


class SettingsError(Exception):
    """The settings cannot be used; one line per problem: file, line, key, and what is allowed."""


@dataclass
class Layers:
    """The merged settings, and for each key the place that set it."""

    model: type[BaseModel]
    file: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)

    def read_yaml(self, text: str) -> None:
        """Take the lowest layer from a YAML document.

        Raises:
            SettingsError: The text is no YAML, no mapping, or has a key twice.
        """
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            repeated = list(_repeated_keys(node))
            data = loader.construct_document(node) if node else {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{self.file}:{mark.line + 1}" if mark else self.file
            raise SettingsError(f"{place}: this is not valid YAML{_problem(error)}.") from None
        except (ValueError, TypeError, RecursionError):
            # Such as a date with month 13; the text of these errors holds the value.
            raise SettingsError(f"{self.file}: a value is not valid YAML.") from None
        finally:
            loader.dispose()
        if repeated:
            raise SettingsError(
                "\n".join(
                    f"{self.file}:{line}: {'.'.join(path)} is set a second time; "
                    f"the first is in line {first}, and only one may stay."
                    for path, first, line in repeated
                )
            )
        if not isinstance(data, dict):
            raise SettingsError(f"{self.file}:1: the settings must be `key: value` lines.")
        self.data = data
        for path, line in _lines(node):
            self.places[path] = f"{self.file}:{line}"

    def override(self, keys: list[str], value: str, place: str) -> None:
        """Set one key from text; `keys` are lower case with `_`, as variables can spell them.

        Raises:
            SettingsError: The path runs through a value, or the text is no list or mapping where
                the setting is one.
        """
        node: Any = self.data
        path: KeyPath = ()
        for depth, spelled in enumerate(keys):
            if not isinstance(node, dict):
                raise SettingsError(f"{place}: {'.'.join(path)} is one value and has no parts.")
            key = next((k for k in node if _as_variable(k) == spelled), spelled)
            path += (str(key),)
            self.places[path] = place
            if depth == len(keys) - 1:
                node[key] = self._parsed(path, value, place)
            else:
                if node.get(key) is None:
                    node[key] = {}
                node = node[key]

    def _parsed(self, path: KeyPath, value: str, place: str) -> Any:
        """Text as it is, except where the setting is a list or a section: those are YAML.

        Reading all as YAML would turn a secret of digits into a number and cut it at a `#`.
        """
        info = _field_at(self.model, path)
        if info is None or not _is_container(info.annotation):
            return value
        try:
            return yaml.safe_load(value)
        except yaml.YAMLError:
            name = ".".join(path)
            raise SettingsError(f"{place}: {name} must be {_allowed(info)} in YAML.") from None

    def place(self, path: KeyPath) -> str:
        """The place that set the key, else the nearest section around it."""
        for length in range(len(path), 0, -1):
            if found := self.places.get(path[:length]):
                return found
        return self.file

    def explain(self, error: ValidationError) -> SettingsError:
        """A validation error as sentences; no value is repeated, since it may be a secret."""
        lines: list[str] = []
        for item in error.errors(include_url=False, include_input=False):
            if item["type"] == RELATION:
                for path, sentence in item["ctx"]["problems"]:
                    lines.append(f"{self.place(tuple(path))}: {sentence}")
                continue
            path = tuple(str(part) for part in item["loc"] if part != "[key]")
            lines.append(f"{self.place(path)}: {self._sentence(item['type'], path)}")
        return SettingsError("\n".join(dict.fromkeys(lines)))

    def _sentence(self, kind: str, path: KeyPath) -> str:
        name = ".".join(path)
        if kind == "extra_forbidden":
            section = _model_at(self.model, path[:-1])
            known = sorted(section.model_fields) if section else []
            near = did_you_mean(path[-1], known)
            return f"{name} is not a setting{near}; {_listed(path[:-1], known)}."
        info = _field_at(self.model, path)
        if info is None:
            return f"{name} is not a setting."
        if kind == "missing":
            return f"{name} is missing; it must be {_allowed(info)}."
        return f"{name} must be {_allowed(info)}."


def dotenv_lines(text: str, file: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and place of each assignment in a `.env` text; empty ones are left out.

    Raises:
        SettingsError: A line is no assignment.
    """
    for binding in parse_stream(io.StringIO(text)):
        blank = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
        skipped = binding.original.string[:blank].count("\n")
        place = f"{file}:{binding.original.line + skipped}"
        if binding.error:
            raise SettingsError(f"{place}: this line is not NAME=value.")
        if binding.key and binding.value:
            yield binding.key, binding.value, place


def did_you_mean(word: str, known: list[str]) -> str:
    """` (did you mean X?)` for the nearest known word, else nothing."""
    import difflib

    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _listed(section: KeyPath, known: list[str]) -> str:
    where = ".".join(section) if section else "the top level"
    if len(known) > MOST_NAMES_LISTED:
        return f"config/app_config.yaml shows what {where} takes"
    return f"{where} takes {', '.join(known)}"


def _as_variable(key: Any) -> str:
    return str(key).lower().replace("-", "_")


def _problem(error: yaml.YAMLError) -> str:
    """What the parser says, without the quoted text: that may be part of a secret."""
    problem = getattr(error, "problem", None)
    return f" ({_QUOTED.sub('...', problem)})" if problem else ""


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


def _plain(annotation: Any) -> Any:
    """The annotation without `| None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_container(annotation: Any) -> bool:
    plain = _plain(annotation)
    return _is_model(plain) or get_origin(plain) in {tuple, dict}


def _field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """The setting at a path, also inside lists and named sections; None where there is none."""
    info = FieldInfo.from_annotation(model)
    for part in path:
        annotation = _plain(info.annotation)
        if _is_model(annotation):
            if part not in annotation.model_fields:
                return None
            info = annotation.model_fields[part]
        elif get_origin(annotation) in {tuple, dict}:
            item = get_args(annotation)[1 if get_origin(annotation) is dict else 0]
            info = FieldInfo.from_annotation(item)
        else:
            return None
    return info


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    info = _field_at(model, path)
    annotation = _plain(info.annotation) if info else None
    return annotation if _is_model(annotation) else None


def _allowed(info: FieldInfo) -> str:
    """What a setting takes, in words: its type and its bounds."""
    annotation = _plain(info.annotation)
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    if get_origin(annotation) is tuple:
        return "a list"
    if get_origin(annotation) is dict:
        return "at least one named section" if info.metadata else "named sections"
    if _is_model(annotation):
        return f"a section of {', '.join(annotation.model_fields)}"
    words = {bool: "true or false", int: "a whole number", float: "a number", SecretStr: "text"}
    return words.get(annotation, "text") + _bounds(info.metadata) + _pattern(info)


def _bounds(metadata: list[Any]) -> str:
    bounds: Mapping[str, str] = {
        "ge": "at least {}",
        "gt": "above {}",
        "le": "at most {}",
        "lt": "below {}",
        "min_length": "at least {} characters",
        "max_length": "at most {} characters",
    }
    said = [
        text.format(getattr(item, name))
        for name, text in bounds.items()
        for item in metadata
        if getattr(item, name, None) is not None
    ]
    return f", {' and '.join(said)}" if said else ""


def _pattern(info: FieldInfo) -> str:
    has_pattern = any(getattr(item, "pattern", None) for item in info.metadata)
    return f" ({info.description})" if has_pattern and info.description else ""
