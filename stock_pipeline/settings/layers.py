"""Where settings come from: the layers with the file and line of each value, and plain errors."""

from __future__ import annotations

import io
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.settings.yaml_text import BadYamlError, KeyPath, is_text, parse

__all__ = [
    "RELATION",
    "KeyPath",
    "Layers",
    "SettingsError",
    "did_you_mean",
    "dotenv_lines",
    "file_text",
]

#: Error type of a rule that several settings break together; its context holds `problems`.
RELATION = "relation"
#: Names of more settings than this are not listed in an error.
MOST_NAMES_LISTED = 12
#: Errors beyond these are counted: a file of another kind would give thousands.
MOST_PROBLEMS_LISTED = 50
#: No file of settings needs more; a larger one is another file.
MOST_BYTES = 256 * 1024


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
        try:
            document = parse(text)
        except BadYamlError as error:
            place = f"{self.file}:{error.line}" if error.line else self.file
            raise SettingsError(f"{place}: {error.sentence}") from None
        if document.repeated:
            raise SettingsError(
                "\n".join(
                    f"{self.file}:{line}: {'.'.join(path)} is set a second time; "
                    f"the first is in line {first}, and only one may stay."
                    for path, first, line in document.repeated
                )
            )
        if not isinstance(document.data, dict):
            raise SettingsError(f"{self.file}:1: the settings must be `key: value` lines.")
        self.data = document.data
        self.places |= {path: f"{self.file}:{line}" for path, line in document.lines.items()}

    def override(self, keys: list[str], value: str, place: str) -> None:
        """Set one key from text; `keys` are lower case with `_`, as variables can spell them.

        Raises:
            SettingsError: The path runs through a value, or the text is no list or mapping where
                the setting is one, or is no text at all.
        """
        place = one_line(place)
        if not all(map(is_text, (*keys, value))):
            raise SettingsError(f"{place}: holds a control character or what is not UTF-8.")
        if not all(keys):
            raise SettingsError(f"{place}: the name has an empty part; two '_' divide the parts.")
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
            return parse(value).data
        except BadYamlError:
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
        said: list[str] = []
        for item in error.errors(include_url=False, include_input=False):
            if item["type"] == RELATION:
                for path, sentence in item["ctx"]["problems"]:
                    said.append(f"{self.place(tuple(path))}: {one_line(sentence)}")
                continue
            path = tuple(str(part) for part in item["loc"] if part != "[key]")
            said.append(f"{self.place(path)}: {one_line(self._sentence(item['type'], path))}")
        distinct = list(dict.fromkeys(said))
        if len(distinct) > MOST_PROBLEMS_LISTED:
            more = len(distinct) - MOST_PROBLEMS_LISTED
            distinct[MOST_PROBLEMS_LISTED:] = [f"{self.file}: and {more} more of the kind."]
        return SettingsError("\n".join(distinct))

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
            raise SettingsError(f"{one_line(place)}: this line is not NAME=value.")
        if binding.key and binding.value:
            yield binding.key, binding.value, place


def file_text(file: Path, name: str) -> str:
    """The text of a file, without byte order mark.

    Raises:
        SettingsError: It cannot be read, is too large, or is not text in UTF-8.
    """
    try:
        if (size := file.stat().st_size) > MOST_BYTES:
            raise SettingsError(
                f"{name}: has {size:,} bytes; settings take {MOST_BYTES:,} at most."
            )
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: is not text in UTF-8.") from None


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
