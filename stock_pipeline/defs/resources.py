"""What assets, checks, sensors and schedules use: Kafka, the lake, its catalogue, Athena, secrets.

Where `dagster-aws` has a resource, ours is one of its kind with our credentials behind it: assumed
roles, keys that are renewed, the emulator's address. Assets of your own can use the same.

A secret is an `EnvVar` where the environment holds it. Others (of `.env`, Secrets Manager) are no
part of a resource's configuration: `Connections` has them, so the UI never shows one.
"""

import warnings
from collections.abc import Callable, Hashable
from typing import Any, Literal, cast

import dagster as dg
import pyarrow as pa
from dagster_aws.athena import AthenaClient, AthenaClientResource
from dagster_aws.s3 import S3Resource
from dagster_aws.secretsmanager import SecretsManagerResource
from pydantic import Field

from stock_pipeline.aws.session import aws_client
from stock_pipeline.catalogue.athena import AthenaRunner
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.query import query
from stock_pipeline.defs.connections import Connections, Kept
from stock_pipeline.defs.sections import as_path, as_secret, aws_section
from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.settings import AwsSettings, KafkaSecurity, KafkaSettings, Settings
from stock_pipeline.settings.completed import completed
from stock_pipeline.settings.sections.aws import AthenaSettings, CatalogSettings
from stock_pipeline.settings.sections.kafka import Protocol, SaslMechanism

# Ours is of that kind on purpose; each tick and run would warn of it.
warnings.filterwarnings("ignore", "Class `SecretsManagerResource`", dg.BetaWarning)

SHARED = "What this code location keeps open; without it, nothing outlives the run or tick."
NOTHING: Any = None


class SecretsResource(SecretsManagerResource):
    """Values of `.env` and of the secret that `secrets.secret_id` names, read at first use.

    `get_client()` is a boto3 client of AWS Secrets Manager.
    """

    secret_id: str | None = Field(
        default=None, description="Name or ARN of the secret whose keys are settings; may be none."
    )
    connections: dg.ResourceDependency[Connections] = Field(description=SHARED)

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    def settings(self, settings: Settings) -> Settings:
        """These settings with the values that they lack; Secrets Manager is asked once a process.

        Raises:
            SettingsError: The secret is missing, may not be read, or does not fit.
        """
        graph, whole = self.connections.built_from, self.connections.settings()
        return completed(settings, graph, whole)

    def get_client(self) -> Any:
        """A client of Secrets Manager, with the credentials that the secret itself is read with."""
        aws = self.connections.built_from.aws
        address = {"endpoint_url": self.endpoint_url or aws.endpoint_url, "role_arn": None}
        return aws_client("secretsmanager", aws.model_copy(update=address))


class KafkaResource(dg.ConfigurableResource[Any]):
    """The brokers: offsets and configuration of topics, and how a batch's records are read."""

    bootstrap_servers: str = Field(description="Brokers as host:port, divided by commas.")
    request_timeout_seconds: float = Field(
        default=10.0, description="A broker that answers later counts as away, in seconds."
    )
    protocol: Protocol = Field(
        default="plaintext", description="plaintext, ssl, sasl_plaintext or sasl_ssl."
    )
    mechanism: str | None = Field(
        default=None, description="How SASL proves who we are: PLAIN, SCRAM-..., AWS_MSK_IAM."
    )
    username: str | None = Field(default=None, description="Name for PLAIN and SCRAM.")
    password: str | None = Field(default=None, description="Password for PLAIN and SCRAM.")
    ca_file: str | None = Field(
        default=None, description="PEM file of the authority that signed the brokers' certificates."
    )
    certificate_file: str | None = Field(default=None, description="PEM file of our certificate.")
    key_file: str | None = Field(default=None, description="PEM file of its key.")
    key_password: str | None = Field(default=None, description="Password of the key's file.")
    region: str | None = Field(default=None, description="AWS region of MSK, for AWS_MSK_IAM.")
    role_arn: str | None = Field(default=None, description="Role to assume for AWS_MSK_IAM.")
    connections: dg.ResourceDependency[Connections | None] = Field(
        default=NOTHING, description=SHARED
    )

    def settings(self) -> KafkaSettings:
        """The section `kafka` of the settings, with its secrets.

        Raises:
            SettingsError: Secrets Manager does not give what the settings name.
        """
        security = KafkaSecurity.model_construct(
            protocol=self.protocol,
            # Dagster's configuration knows no optional choice.
            mechanism=cast("SaslMechanism | None", self.mechanism),
            username=self.username,
            password=as_secret(self.password),
            ca_file=as_path(self.ca_file),
            certificate_file=as_path(self.certificate_file),
            key_file=as_path(self.key_file),
            key_password=as_secret(self.key_password),
            region=self.region,
            role_arn=self.role_arn,
        )
        mine = KafkaSettings.model_construct(
            bootstrap_servers=self.bootstrap_servers,
            request_timeout_seconds=self.request_timeout_seconds,
            security=security,
        )
        if self.connections:
            graph, whole = self.connections.built_from, self.connections.settings()
            mine = completed(mine, graph.kafka, whole.kafka)
        # Now that all parts are there, they must fit together.
        return KafkaSettings.model_validate(mine.model_dump())

    def control(self, clock: Clock = system_clock) -> KafkaControl:
        """A connection to ask for offsets and topics; whoever took it closes it.

        Args:
            clock: Says how old records are.
        """
        return KafkaControl(self.settings(), clock)


class LakeS3Resource(S3Resource):
    """S3, or the emulator in its place; `get_client()` is a boto3 client with our credentials."""

    role_arn: str | None = Field(
        default=None, description="Role to assume; its credentials are renewed in time."
    )
    role_session_name: str = Field(
        default=AwsSettings().role_session_name, description="How AWS's logs name the session."
    )
    role_external_id: str | None = Field(
        default=None, description="What the role's owner demands besides."
    )
    request_timeout_seconds: float = Field(
        default=AwsSettings().request_timeout_seconds,
        description="An answer that takes longer is asked for again, in seconds.",
    )
    connections: dg.ResourceDependency[Connections | None] = Field(
        default=NOTHING, description=SHARED
    )

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    def get_client(self) -> Any:
        """A boto3 S3 client, whose credentials are renewed by themselves."""
        return aws_client("s3", self.aws())

    def aws(self, bucket: str | None = None) -> AwsSettings:
        """The section `aws` of the settings, with its secrets.

        Args:
            bucket: The lake's; that of the settings when left out.
        """
        mine = aws_section(self, bucket).model_copy(
            update={
                "role_arn": self.role_arn,
                "role_session_name": self.role_session_name,
                "role_external_id": as_secret(self.role_external_id),
                "request_timeout_seconds": self.request_timeout_seconds,
            }
        )
        if not self.connections:
            return mine
        graph, whole = self.connections.built_from.aws, self.connections.settings().aws
        if bucket is None:
            mine = mine.model_copy(update={"bucket": graph.bucket})
        return completed(mine, graph, whole)


class LakeResource(dg.ConfigurableResource[Any]):
    """The bucket of bronze, silver, gold and the offset log, written by conditional PUTs."""

    bucket: str = Field(description="Name of the bucket.")
    s3: S3Resource = Field(description="The store that holds it, ours or any of Dagster's.")
    connections: dg.ResourceDependency[Connections | None] = Field(
        default=NOTHING, description=SHARED
    )

    def aws(self) -> AwsSettings:
        """The section `aws` of the settings, with its secrets."""
        if isinstance(self.s3, LakeS3Resource):
            return self.s3.aws(self.bucket)
        return aws_section(self.s3, self.bucket)

    def lake(self) -> Lake:
        """The lake; its client lives as long as this code location."""
        aws = self.aws()
        return self.keep(("lake", aws), lambda: Lake(aws))

    def keep(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What outlives the run or tick: made once under its key where something is kept at all."""
        return self.connections.keep(key, make) if self.connections else make()

    def settings(self, settings: Settings) -> Settings:
        """These settings with their secrets, and with this lake in the place of theirs."""
        if self.connections:
            graph, whole = self.connections.built_from, self.connections.settings()
            settings = completed(settings, graph, whole)
        return settings.model_copy(update={"aws": self.aws()})


class CatalogueResource(dg.ConfigurableResource[Any]):
    """The Glue database that Athena and others read the lake by, and its crawlers."""

    database: str = Field(description="Name of the Glue database.")
    method: Literal["crawler", "partitions"] = Field(
        default="crawler",
        description="Who registers partitions: Glue's crawlers, or our own calls.",
    )
    crawler_role: str = Field(
        default=CatalogSettings().crawler_role, description="Role that the crawlers run with."
    )
    timeout_seconds: float = Field(
        default=CatalogSettings().timeout_seconds,
        description="Longest wait for a crawl, in seconds.",
    )
    lake: LakeResource = Field(description="The lake that it describes.")

    def settings(self, settings: Settings) -> Settings:
        """These settings with this catalogue and its lake in the place of theirs."""
        section = CatalogSettings(
            database=self.database,
            method=self.method,
            crawler_role=self.crawler_role,
            timeout_seconds=self.timeout_seconds,
        )
        return self.lake.settings(settings).model_copy(update={"catalog": section})

    def catalogue(self, settings: Settings) -> Catalogue:
        """The catalogue of the tables that the settings name; its client lives on.

        Args:
            settings: Name the feeds.
        """
        ours = self.settings(settings)
        key = ("catalogue", ours.catalog, ours.aws, tuple(ours.feeds))
        return self.lake.keep(key, lambda: Catalogue(ours, self.lake.lake()))


class AthenaResource(AthenaClientResource):
    """Athena on the Glue database; `get_client()` is Dagster's client with our credentials."""

    timeout_seconds: float = Field(
        default=AthenaSettings().timeout_seconds,
        description="A query that takes longer is stopped, in seconds.",
    )
    usd_per_tebibyte: float = Field(
        default=AthenaSettings().usd_per_tebibyte,
        description="What AWS bills for scanning a tebibyte, in US dollars.",
    )
    catalogue: CatalogueResource = Field(description="The database that queries read.")

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    def get_client(self) -> AthenaClient:
        """Dagster's Athena client, which runs one query after the other."""
        client = aws_client("athena", self.catalogue.lake.aws())
        return AthenaClient(  # type: ignore[no-untyped-call]
            client, self.workgroup, self.polling_interval, self.max_polls
        )

    def settings(self, settings: Settings) -> Settings:
        """These settings with Athena, catalogue and lake as configured here."""
        section = AthenaSettings(
            workgroup=self.workgroup,
            timeout_seconds=self.timeout_seconds,
            usd_per_tebibyte=self.usd_per_tebibyte,
        )
        return self.catalogue.settings(settings).model_copy(update={"athena": section})

    def runner(self, settings: Settings) -> AthenaRunner:
        """Runs SQL, reads its rows as Arrow and stops what nobody waits for."""
        return AthenaRunner(self.settings(settings))


class QueriesResource(dg.ConfigurableResource[Any]):
    """SQL over the lake by DuckDB: views `bronze."<feed>"`, `silver.*`, `gold.*`."""

    lake: LakeResource = Field(description="The lake that is read.")
    connections: dg.ResourceDependency[Connections] = Field(description=SHARED)

    def query(self, sql: str) -> pa.Table:
        """The rows of one SELECT, on one state of each object.

        Raises:
            QueryError: The SQL is wrong, or objects were replaced at every try.
        """
        return query(self.connections.built_from, self.lake.lake(), sql)
