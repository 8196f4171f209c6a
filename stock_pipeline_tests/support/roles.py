"""Roles of the emulator that enforces them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import dagster as dg
from botocore.exceptions import ClientError

from stock_pipeline.aws.session import aws_client
from stock_pipeline.settings import AwsSettings, Settings, get_settings
from stock_pipeline_tests.support.location import Location, forget_location

client = cache(aws_client)

FEEDS = {"trades": {"format": "trade", "source": "trades", "calendar": "24/7", "min_records": 1}}


def forget() -> None:
    """Let this process see its settings for the first time."""
    get_settings.cache_clear()
    forget_location()


def refusal(aws: AwsSettings, service: str, operation: str, **arguments: Any) -> str:
    """The code with which a request is refused; empty when it is answered."""
    try:
        getattr(client(service, aws), operation)(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


ROLE = "arn:aws:iam::000000000000:role/anybody"


def make_anybody(aws: AwsSettings) -> None:
    """Make `ROLE`, which everybody may assume and which may do everything."""
    iam = client("iam", aws)
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    trust, policy = (
        json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        for statement in (everybody, everything)
    )
    if not any(r["Arn"] == ROLE for r in iam.list_roles()["Roles"]):
        iam.create_role(RoleName="anybody", AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName="anybody", PolicyName="everything", PolicyDocument=policy)


def ingest(settings: Settings, **options: Any) -> dg.ExecuteInProcessResult:
    return Location(settings).ingest("trades", **options)
