"""The layers of settings merged into one, with the file and line of each value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from stock_pipeline.lib.plain_text import one_line
from stock_pipeline.settings.errors import RELATION, KeyPath, SettingsError
from stock_pipeline.settings.sentences import allowed, field_at, is_container, sentence
from stock_pipeline.settings.variables import Variable
from stock_pipeline.settings.yaml_text import BadYamlError, is_text, parse

#: Errors beyond these are counted: a file of another kind would give thousands.
MOST_PROBLEMS_LISTED = 50


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
            data, lines = parse(text)
        except BadYamlError as error:
            raise SettingsError(one_line(f"{self.file}:{error.line}: {error.sentence}")) from None
        if not isinstance(data, dict):
            raise SettingsError(f"{self.file}:1: the settings must be `key: value` lines.")
        self.data = data
        self.places |= {path: f"{self.file}:{line}" for path, line in lines.items()}

    def override(self, variable: Variable) -> None:
        """Set one key from text.

        Raises:
            SettingsError: The path runs through a value, or the text is no list or mapping where
                the setting is one, or is no text at all.
        """
        place = one_line(variable.place)
        if not all(map(is_text, (*variable.keys, variable.value))):
            raise SettingsError(f"{place}: holds a control character or what is not UTF-8.")
        if not all(variable.keys):
            raise SettingsError(f"{place}: the name has an empty part; two '_' divide the parts.")
        *above, last = variable.keys
        node = self.data
        path: KeyPath = ()
        for spelled in above:
            key = _spelled(node, spelled)
            path = (*path, key)
            self.places[path] = place
            if node.get(key) is None:
                node[key] = {}
            node = node[key]
            if not isinstance(node, dict):
                raise SettingsError(f"{place}: {'.'.join(path)} is one value and has no parts.")
        key = _spelled(node, last)
        self.places[*path, key] = place
        node[key] = self._parsed((*path, key), variable.value, place)

    def _parsed(self, path: KeyPath, value: str, place: str) -> Any:
        """Text as it is, except where the setting is a list or a section: those are YAML.

        Reading all as YAML would turn a secret of digits into a number and cut it at a `#`.
        """
        info = field_at(self.model, path)
        if info is None or not is_container(info.annotation):
            return value
        try:
            return parse(value)[0]
        except BadYamlError:
            name = ".".join(path)
            raise SettingsError(f"{place}: {name} must be {allowed(info)} in YAML.") from None

    def place(self, path: KeyPath) -> str:
        """The place that set the key, else the nearest section around it."""
        for length in range(len(path), 0, -1):
            if found := self.places.get(path[:length]):
                return found
        return self.file

    def explain(self, error: ValidationError) -> SettingsError:
        """A validation error as sentences; no value is repeated, since it may be a secret."""
        said: dict[str, None] = {}
        for item in error.errors(include_url=False, include_input=False):
            if item["type"] == RELATION:
                problems = item["ctx"]["problems"]
            else:
                path = tuple(str(part) for part in item["loc"] if part != "[key]")
                problems = [(path, sentence(self.model, item["type"], path))]
            said |= {f"{self.place(path)}: {one_line(what)}": None for path, what in problems}
        lines = list(said)
        if len(lines) > MOST_PROBLEMS_LISTED:
            more = len(lines) - MOST_PROBLEMS_LISTED
            lines[MOST_PROBLEMS_LISTED:] = [f"{self.file}: and {more} more of the kind."]
        return SettingsError("\n".join(lines))


def _spelled(section: dict[str, Any], part: str) -> str:
    """The key of a section that a part of a variable's name means, such as `a-b` by `a_b`."""
    return next((key for key in section if key.lower().replace("-", "_") == part), part)
