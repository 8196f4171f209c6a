"""IAM policies: documents with placeholders for names, and how these are filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Template
from typing import Any


def render(document: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Fill in the names of a policy.

    Args:
        document: JSON with `${Bucket}` and the like inside its strings.
        names: The value of each name. One with a character that JSON would have to escape, or that
            is a wildcard of IAM, could widen the policy.

    Raises:
        ValueError: A name is missing, or its value is not plain.
    """
    for name, value in names.items():
        if not value or any(c in value for c in '"\\*?$') or not value.isprintable():
            raise ValueError(f"{name} cannot be {value!r} in a policy.")
    try:
        policy: dict[str, Any] = json.loads(Template(document).substitute(names))
    except KeyError as error:
        raise ValueError(f"The policy names {error.args[0]}, which has no value.") from None
    return policy
