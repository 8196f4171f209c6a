"""The roles of infra/iam in the AWS emulator, which enforces them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.aws.policies import policy
from stock_pipeline.aws.session import aws_client
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.settings.emulator_keys import emulator_keys
from stock_pipeline.stack.aws import aws_process
from stock_pipeline.stack.local import LocalStack
from stock_pipeline.stack.ports import free_port
from stock_pipeline.stack.processes import Child
from stock_pipeline.stack.provision import provision
from stock_pipeline_tests.support.roles import FEEDS, forget
from stock_pipeline_tests.support.stack import SettingsFor

ACCOUNT = "000000000000"
BY_WORKGROUP = ("athena:GetWorkGroup", "athena:StartQueryExecution")


@pytest.fixture(scope="session")
def own_endpoint(
    tmp_path_factory: pytest.TempPathFactory, local_stack: LocalStack
) -> Iterator[str]:
    """An emulator of its own, since crawlers have the same names in every test; its URL."""
    home, port = tmp_path_factory.mktemp("roles"), free_port()
    child = Child(aws_process(home, port, emulator_keys(local_stack.home)), home / "aws.log")
    child.start()
    child.wait_until_ready()
    yield f"http://127.0.0.1:{port}"
    child.stop()


class Roles:
    """One lake on the emulator, and each part's role."""

    def __init__(self, admin: Settings, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.admin = admin
        self.suffix = suffix
        self.iam = aws_client("iam", admin.aws)
        self._patch = monkeypatch
        self._made: set[str] = set()
        self._make_user()

    def arn(self, role: str) -> str:
        return role_arn(role, self.suffix)

    def become(self, role: str) -> Settings:
        """The settings of a process that assumes this role; `get_settings()` sees them too."""
        if role not in self._made:
            self._make_role(role)
        self._patch.setenv("STOCK_PIPELINE__AWS__ACCESS_KEY_ID", self.key["AccessKeyId"])
        self._patch.setenv("STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY", self.key["SecretAccessKey"])
        self._patch.setenv("STOCK_PIPELINE__AWS__ROLE_ARN", self.arn(role))
        forget()
        return get_settings()

    def grant(self, role: str, document: dict[str, Any] | None = None) -> None:
        """Give a role its policy again, or another one."""
        self.iam.put_role_policy(
            RoleName=self.arn(role).rsplit("/", 1)[1],
            PolicyName="least",
            PolicyDocument=json.dumps(document or self.policy(role)),
        )

    def policy(self, role: str) -> dict[str, Any]:
        """As on AWS but for three things that the emulator does not know.

        It has no condition key s3:if-none-match, takes a request that names a query by its id for
        one on `*`, where AWS checks the query's workgroup, and a crawler's name for a table's.
        """
        document = policy(self.admin, role, ACCOUNT)
        for statement in document["Statement"]:
            if "s3:if-none-match" in statement.get("Condition", {}).get("Null", {}):
                del statement["Condition"]
            if statement["Sid"] == "RunCrawlers":
                statement["Resource"] = statement["Resource"].replace(":crawler/", ":table/")
            if statement["Sid"] == "AskAthena":
                by_id = [a for a in statement["Action"] if a not in BY_WORKGROUP]
                by_id_statement = {"Effect": "Allow", "Action": by_id, "Resource": "*", "Sid": "Id"}
                document["Statement"] = [*document["Statement"], by_id_statement]
        return document

    def revoke(self, role: str, action: str) -> None:
        """The role's policy without an action."""
        document = self.policy(role)
        for statement in document["Statement"]:
            actions = statement["Action"]
            actions = [actions] if isinstance(actions, str) else actions
            statement["Action"] = [a for a in actions if a != action] or ["s3:GetObjectAcl"]
        self.grant(role, document)

    def _make_user(self) -> None:
        name = f"runner-{self.suffix}"
        self.iam.create_user(UserName=name)
        self.key = self.iam.create_access_key(UserName=name)["AccessKey"]
        allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": self.arn("*")}
        self.iam.put_user_policy(
            UserName=name,
            PolicyName="assume",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )

    def _make_role(self, role: str) -> None:
        self._made.add(role)
        trust = {
            "Effect": "Allow",
            "Principal": {
                "AWS": f"arn:aws:iam::{ACCOUNT}:user/runner-{self.suffix}",
                **({"Service": "glue.amazonaws.com"} if role == "crawler" else {}),
            },
            "Action": "sts:AssumeRole",
        }
        self.iam.create_role(
            RoleName=self.arn(role).rsplit("/", 1)[1],
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        self.grant(role)


def role_arn(role: str, suffix: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/stock-pipeline-{role}-{suffix}"


@pytest.fixture
def roles(
    broker: str,
    own_endpoint: str,
    settings_for: SettingsFor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Roles]:
    """A provisioned lake and its roles."""
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", own_endpoint)
    suffix = uuid.uuid4().hex[:8]
    monkeypatch.setenv("STOCK_PIPELINE__CATALOG__CRAWLER_ROLE", role_arn("crawler", suffix))
    admin = settings_for(
        FEEDS,
        catalog={"method": "partitions"},
        history={"massive": {"symbols": ["A"]}},
        sources={"massive": {"api_key": "massive-key-0123"}},
    )
    provision(admin)
    yield Roles(admin, suffix, monkeypatch)
    forget()
