"""A setting that names an entry of a register."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class OneOf:
    """Marks a text that must be one of the register's names, as they are when it is validated.

    Attributes:
        known: The names; a dict of entries by name will do.
    """

    known: Collection[str]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def checked(name: str) -> str:
            if name not in self.known:
                raise PydanticCustomError("one_of", "must be a known name")
            return name

        return core_schema.no_info_after_validator_function(checked, handler(source))
