"""`stock-pipeline iam`: the least rights of each part, as IAM policies of this lake."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from stock_pipeline.aws.policies import policy, policy_files
from stock_pipeline.errors import UsageError
from stock_pipeline.settings import get_settings


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
