"""Typed settings: YAML, Secrets Manager, `.env`, the environment, the last wins; validated once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stock_pipeline.settings.aws import AwsSettings
from stock_pipeline.settings.feeds import FeedSettings
from stock_pipeline.settings.history import HistorySettings, history_problems
from stock_pipeline.settings.kafka import KafkaSettings
from stock_pipeline.settings.layers import (
    did_you_mean,
)
from stock_pipeline.settings.local import PortSettings, SimulatorSettings
from stock_pipeline.settings.places import home, variable
from stock_pipeline.settings.quality import QualitySettings
from stock_pipeline.settings.rules import Problem, feed_problems, fetch_problems
from stock_pipeline.settings.secrets import SecretsSettings
from stock_pipeline.settings.section import Section, broken
from stock_pipeline.settings.sources import PollSettings, SourceSettings, StreamSettings
from stock_pipeline.sources.registry import SOURCES

#: A year's volatilities read bars of two years before it, which holds 500 sessions.
WindowDays = Annotated[int, Field(ge=2, le=500)]


class CatalogSettings(Section):
    """The Glue database and how it learns of partitions."""

    database: str = Field(
        default="stock_pipeline",
        pattern=r"^[a-z0-9_]{1,255}$",
        description="lower-case letters, digits and '_'",
    )
    method: Literal["crawler", "partitions"] = "crawler"
    crawler_role: str = "arn:aws:iam::000000000000:role/stock-pipeline-crawler"
    timeout_seconds: float = Field(default=900.0, gt=0)


class AthenaSettings(Section):
    """Where gold SQL runs again for parity."""

    workgroup: str = Field(
        default="stock_pipeline",
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="letters, digits, '.', '_' and '-'",
    )
    timeout_seconds: float = Field(default=300.0, gt=0)
    usd_per_tebibyte: float = Field(default=5.0, ge=0)


class CalendarRule(Section):
    """Symbols that match the pattern (fnmatch) follow this exchange calendar."""

    pattern: str
    calendar: str


class VolatilitySettings(Section):
    """Windows and constants of the gold tables."""

    windows: tuple[WindowDays, ...] = Field(default=(5, 20, 60, 250), min_length=1)
    #: Powers of a smaller one over a year of bars are no doubles any more.
    ewma_lambda: float = Field(default=0.94, ge=0.2, lt=1)
    sessions_per_year: float = Field(default=252, gt=0)
    sessions_per_year_247: float = Field(default=365, gt=0)


class RefreshSettings(Section):
    """When due silver and gold partitions are made."""

    min_interval_seconds: int = Field(default=30, ge=1)
    max_partitions: int = Field(default=400, ge=1)


class Settings(Section):
    """All settings of the pipeline."""

    profile: Literal["local", "compose", "aws"] = "local"
    #: What `dev` starts: noida-db, or Apache Kafka by the machine's Java and Maven.
    broker: Literal["embedded", "apache"] = "embedded"
    ports: PortSettings = PortSettings()
    #: Where `dev` lets Dagster's UI listen; broker and AWS emulator listen on loopback only.
    ui_host: str = Field(
        default="127.0.0.1", pattern=r"^[A-Za-z0-9.:-]+$", description="an address or a name"
    )
    kafka: KafkaSettings = Field(default=KafkaSettings(), validate_default=True)
    aws: AwsSettings = Field(default=AwsSettings(), validate_default=True)
    secrets: SecretsSettings = SecretsSettings()
    catalog: CatalogSettings = CatalogSettings()
    athena: AthenaSettings = AthenaSettings()
    feeds: dict[str, FeedSettings] = Field(min_length=1)
    sources: dict[str, SourceSettings] = Field(default_factory=dict)
    polls: dict[str, PollSettings] = Field(default_factory=dict)
    streams: dict[str, StreamSettings] = Field(default_factory=dict)
    history: dict[str, HistorySettings] = Field(default_factory=dict)
    #: Share of a price by which a day's bar may differ from what was rolled up from trades.
    daily_tolerance: float = Field(default=0.005, gt=0, lt=1)
    calendars: tuple[CalendarRule, ...] = ()
    source_precedence: tuple[str, ...] = ()
    volatility: VolatilitySettings = VolatilitySettings()
    refresh: RefreshSettings = RefreshSettings()
    quality: QualitySettings = QualitySettings()
    simulator: SimulatorSettings = SimulatorSettings()

    @field_validator("kafka")
    @classmethod
    def _broker_address(cls, kafka: KafkaSettings, info: ValidationInfo) -> KafkaSettings:
        """In the local profile the broker listens where `ports` says: one setting, not two."""
        if kafka.bootstrap_servers or not {"profile", "ports"} <= info.data.keys():
            return kafka
        if info.data["profile"] != "local":
            sentence = (
                f"kafka.bootstrap_servers is missing; profile {info.data['profile']} needs the "
                "brokers as host:port, several divided by commas."
            )
            raise broken([(("kafka", "bootstrap_servers"), sentence)])
        port = info.data["ports"].kafka
        return kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{port}"})

    @field_validator("aws")
    @classmethod
    def _aws_address_and_keys(cls, aws: AwsSettings, info: ValidationInfo) -> AwsSettings:
        """The emulator's address and keys in the local profile; keys come in pairs anywhere."""
        if not {"profile", "ports"} <= info.data.keys():
            return aws
        profile, keys = info.data["profile"], (aws.access_key_id, aws.secret_access_key)
        if any(keys) != all(keys) or (profile == "compose" and not any(keys)):
            raise broken(
                [
                    (
                        ("aws", name),
                        f"aws.{name} is missing; set {variable(('aws', name))} in .env.",
                    )
                    for name, key in zip(("access_key_id", "secret_access_key"), keys, strict=True)
                    if not key
                ]
            )
        if profile != "local":
            return aws
        local = SecretStr("local")
        return aws.model_copy(
            update={
                "endpoint_url": aws.endpoint_url or f"http://127.0.0.1:{info.data['ports'].aws}",
                "access_key_id": aws.access_key_id or local,
                "secret_access_key": aws.secret_access_key or local,
            }
        )

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        problems = [*feed_problems(self.feeds), *name_problems(self), *fetch_problems(self)]
        trades = {f.source: name for name, f in self.feeds.items() if f.format == "trade"}
        problems += history_problems(self.history, SOURCES, trades)
        if problems:
            raise broken(problems)
        return self

    @property
    def home(self) -> Path:
        """Folder of all local state: `$STOCK_PIPELINE_HOME`, else `.stock_pipeline` here."""
        return home()


def name_problems(settings: Settings) -> list[Problem]:
    """Names that must be the name of something else, and values that must differ."""
    problems: list[Problem] = []
    trades = sorted(name for name, feed in settings.feeds.items() if feed.format == "trade")
    if settings.simulator.enabled and settings.simulator.feed not in trades:
        near = did_you_mean(settings.simulator.feed, trades)
        known = ", ".join(trades) or "none yet"
        problems.append(
            (
                ("simulator", "feed"),
                f"simulator.feed is no feed of format trade{near}; such feeds: {known}.",
            )
        )
    for name in settings.sources:
        if name not in SOURCES:
            near, known = did_you_mean(name, list(SOURCES)), ", ".join(SOURCES)
            sentence = f"sources.{name} is no source{near}; sources: {known}."
            problems.append((("sources", name), sentence))
    # Bars name their vendor, and else are of their feed's source.
    sources = sorted({feed.source for feed in settings.feeds.values()} | set(SOURCES))
    for index, source in enumerate(settings.source_precedence):
        if source not in sources:
            near, known = did_you_mean(source, sources), ", ".join(sources)
            problems.append(
                (
                    ("source_precedence", str(index)),
                    f"source_precedence: no feed's source is {source}{near}; sources: {known}.",
                )
            )
    for path, values in (
        (("source_precedence",), settings.source_precedence),
        (("volatility", "windows"), settings.volatility.windows),
        (("simulator", "symbols"), settings.simulator.symbols),
        (("ports",), tuple(settings.ports.model_dump().values())),
    ):
        if len(set(values)) != len(values):
            problems.append((path, f"{'.'.join(path)} must not hold the same value twice."))
    return problems
