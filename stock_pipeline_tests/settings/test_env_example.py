"""`.env.example` is where a user learns of every secret; it holds none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr

from stock_pipeline.settings import Settings, project_root
from stock_pipeline.settings.sections.sources import SourceSettings
from stock_pipeline.settings.variables import ENVIRONMENT_PREFIX
from stock_pipeline.sources.registry import SOURCES, source_kind


def secrets(section: type[BaseModel], *path: str) -> Iterator[str]:
    """The variables of all secrets of a section and those in it."""
    for name, field in section.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        if SecretStr in kinds:
            yield ENVIRONMENT_PREFIX + "__".join((*path, name)).upper()
        for kind in kinds:
            if not isinstance(kind, type) or not issubclass(kind, BaseModel):
                continue
            if get_origin(field.annotation) is not dict:
                yield from secrets(kind, *path, name)
                continue
            needy = [source for source in SOURCES if source_kind(source).needs_key]
            for key in needy if kind is SourceSettings else ["any"]:
                yield from secrets(kind, *path, name, key)


def test_the_example_names_every_secret_and_holds_none() -> None:
    wanted = set(secrets(Settings))
    assert len(wanted) > 8
    assert dotenv_values(project_root() / ".env.example") == dict.fromkeys(wanted, "")
