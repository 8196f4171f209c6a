"""IAM policies: documents with placeholders for names, and how these are filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from stock_pipeline.errors import UserError
from stock_pipeline.settings import Settings, project_root


def render(document: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Fill in the names of a policy.

    Args:
        document: JSON with `${Bucket}` and the like inside its strings.
        names: The value of each name. One with a character that JSON would have to escape, or that
            is a wildcard of IAM, could widen the policy.

    Raises:
        UserError: A name is missing, or its value is not plain.
    """
    for name, value in names.items():
        if not value or any(c in value for c in '"\\*?$') or not value.isprintable():
            raise UserError(f"{name} cannot be {value!r} in a policy.")
    try:
        policy: dict[str, Any] = json.loads(Template(document).substitute(names))
    except KeyError as error:
        raise UserError(f"The policy names {error.args[0]}, which has no value.") from None
    return policy


def policy_files() -> list[Path]:
    """The documents, one a role."""
    return sorted((project_root() / "infra" / "iam").glob("*.json"))


def policy(
    settings: Settings, role: str, account: str = "000000000000", partition: str = "aws"
) -> dict[str, Any]:
    """The policy of one role for the names in the settings.

    Raises:
        UserError: A name cannot be put into a policy.
        StopIteration: There is no such role.
    """
    document = next(file for file in policy_files() if file.stem == role)
    names = {
        "Account": account,
        "Bucket": settings.aws.bucket,
        "CrawlerRole": settings.catalog.crawler_role,
        "Database": settings.catalog.database,
        "Partition": partition,
        "Region": settings.aws.region,
        "Workgroup": settings.athena.workgroup,
    }
    return render(document.read_text(encoding="utf-8"), names)
