"""What a setting takes, in words; found in the types of the settings."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from stock_pipeline.lib.words import did_you_mean
from stock_pipeline.settings.errors import KeyPath
from stock_pipeline.settings.sections.one_of import OneOf

#: Names of more settings than this are not listed in an error.
MOST_NAMES_LISTED = 12


def sentence(model: type[BaseModel], kind: str, path: KeyPath) -> str:
    """What is wrong with a setting, and what it takes.

    Args:
        model: The type of all settings.
        kind: Pydantic's type of the error.
        path: The setting.
    """
    name = ".".join(path)
    if kind == "extra_forbidden":
        section = _model_at(model, path[:-1])
        known = sorted(section.model_fields) if section else []
        near = did_you_mean(path[-1], known)
        return f"{name} is not a setting{near}; {_listed(path[:-1], known)}."
    info = field_at(model, path)
    if info is None:
        return f"{name} is not a setting."
    if kind == "missing":
        return f"{name} is missing; it must be {allowed(info)}."
    return f"{name} must be {allowed(info)}."


def _listed(section: KeyPath, known: list[str]) -> str:
    where = ".".join(section) if section else "the top level"
    if len(known) > MOST_NAMES_LISTED:
        return f"config/app_config.yaml shows what {where} takes"
    return f"{where} takes {', '.join(known)}"


def _plain(annotation: Any) -> Any:
    """The annotation without `| None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def is_container(annotation: Any) -> bool:
    """Whether a setting of this type is a section, a list or a mapping."""
    plain = _plain(annotation)
    return _is_model(plain) or get_origin(plain) in {tuple, dict}


def field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
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
    info = field_at(model, path)
    annotation = _plain(info.annotation) if info else None
    return annotation if _is_model(annotation) else None


def allowed(info: FieldInfo) -> str:
    """What a setting takes, in words: its type and its bounds."""
    annotation = _plain(info.annotation)
    register = next((item for item in info.metadata if isinstance(item, OneOf)), None)
    if register:
        return f"one of {', '.join(register.known)}"
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
