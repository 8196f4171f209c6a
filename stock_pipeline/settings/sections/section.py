"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

#: Key of a validation's context, true where a secret that may set what is missing was not read.
INCOMPLETE = "incomplete"
#: Key of the same, the folder of local state.
HOME = "home"


def incomplete(info: ValidationInfo) -> bool:
    """Whether the settings are validated without the secret that they name."""
    return bool(info.context and info.context.get(INCOMPLETE))


class Section(BaseModel):
    """A block of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` for a number, which Python would take for 1."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation in {int, float}:
            raise PydanticCustomError("number_type", "must be a number")
        return value
