"""`stock-pipeline iam`: the least rights of each part, as IAM policies of this lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_pipeline.aws.policies import render
from stock_pipeline.errors import UsageError
from stock_pipeline.settings import get_settings, project_root

if TYPE_CHECKING:
    from pathlib import Path

    from stock_pipeline.settings import Settings


def iam(
    role: Annotated[str, typer.Argument(help="ingest, tables, query ...; all without it.")] = "",
    account: Annotated[str, typer.Option(help="AWS account, 12 digits.")] = "000000000000",
    partition: Annotated[str, typer.Option(help="aws, aws-cn or aws-us-gov.")] = "aws",
) -> None:
    """Print the IAM policies in infra/iam with the names of these settings.

    Save it as policy.json for `aws iam put-role-policy --policy-document file://policy.json`.
    """
    roles = [file.stem for file in policy_files()]
    if role and role not in roles:
        raise UsageError(f"There is no policy {role}; there are {', '.join(roles)}.")
    settings = get_settings()
    if role:
        shown = policy(settings, role, account, partition)
    else:
        shown = {name: policy(settings, name, account, partition) for name in roles}
    typer.echo(json.dumps(shown, indent=2))


def policy_files() -> list[Path]:
    """The documents, one a role."""
    return sorted((project_root() / "infra" / "iam").glob("*.json"))


def policy(
    settings: Settings, role: str, account: str = "000000000000", partition: str = "aws"
) -> dict[str, Any]:
    """The policy of one role for the names in the settings.

    Raises:
        ValueError: A name cannot be put into a policy.
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
