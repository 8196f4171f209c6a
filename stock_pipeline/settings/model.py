"""All settings of the pipeline in one type, and the rules that need all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stock_pipeline.lib.formats import formats_of
from stock_pipeline.lib.formats.grains import TRADE
from stock_pipeline.lib.words import did_you_mean
from stock_pipeline.settings.emulator_keys import emulator_keys
from stock_pipeline.settings.errors import Problem, broken
from stock_pipeline.settings.places import home
from stock_pipeline.settings.rules import (
    feed_problems,
    fetch_problems,
    history_problems,
    source_problems,
)
from stock_pipeline.settings.sections.aws import (
    AthenaSettings,
    AwsSettings,
    CatalogSettings,
    SecretsSettings,
)
from stock_pipeline.settings.sections.feeds import FeedSettings
from stock_pipeline.settings.sections.kafka import KafkaSettings
from stock_pipeline.settings.sections.local import PortSettings, SimulatorSettings
from stock_pipeline.settings.sections.quality import QualitySettings
from stock_pipeline.settings.sections.section import HOME, Section, incomplete
from stock_pipeline.settings.sections.sources import (
    SOURCE_NAMES,
    HistorySettings,
    PollSettings,
    SourceSettings,
    StreamSettings,
)
from stock_pipeline.settings.sections.tables import (
    CalendarRule,
    PartitionSettings,
    RefreshSettings,
    VolatilitySettings,
)
from stock_pipeline.settings.variables import variable


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
    partitions: PartitionSettings = PartitionSettings()
    quality: QualitySettings = QualitySettings()
    simulator: SimulatorSettings = SimulatorSettings()

    @field_validator("kafka")
    @classmethod
    def _broker_address(cls, kafka: KafkaSettings, info: ValidationInfo) -> KafkaSettings:
        """In the local profile the broker listens where `ports` says: one setting, not two."""
        if kafka.bootstrap_servers or not {"profile", "ports"} <= info.data.keys():
            return kafka
        if info.data["profile"] != "local":
            if incomplete(info):
                return kafka
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
        lacks_keys = any(keys) != all(keys) or (profile == "compose" and not any(keys))
        if lacks_keys and not incomplete(info):
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
        keys_here = emulator_keys((info.context or {}).get(HOME) or home())
        return aws.model_copy(
            update={
                "endpoint_url": aws.endpoint_url or f"http://127.0.0.1:{info.data['ports'].aws}",
                "access_key_id": aws.access_key_id or SecretStr(keys_here.access_key_id),
                "secret_access_key": aws.secret_access_key
                or SecretStr(keys_here.secret_access_key),
            }
        )

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        of_trades = formats_of(TRADE)
        trades = {f.source: name for name, f in self.feeds.items() if f.format in of_trades}
        problems = [
            *feed_problems(self.feeds),
            *source_problems(self.sources),
            *fetch_problems(self.polls, self.streams, self.feeds),
            *history_problems(self.history, trades),
            *name_problems(self),
        ]
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
    # Bars name their vendor, and else are of their feed's source.
    sources = sorted({feed.source for feed in settings.feeds.values()} | set(SOURCE_NAMES))
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
