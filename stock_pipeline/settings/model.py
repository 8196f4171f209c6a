"""Typed settings: YAML, Secrets Manager, `.env`, the environment, the last wins; validated once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stock_pipeline.settings.aws import AwsSettings
from stock_pipeline.settings.feeds import FeedSettings
from stock_pipeline.settings.history import HistorySettings, history_problems
from stock_pipeline.settings.kafka import KafkaSecurity, KafkaSettings
from stock_pipeline.settings.layers import (
    KeyPath,
    Layers,
    SettingsError,
    dotenv_lines,
    file_text,
)
from stock_pipeline.settings.local import PortSettings, SimulatorSettings
from stock_pipeline.settings.quality import QualitySettings
from stock_pipeline.settings.rules import feed_problems, fetch_problems, name_problems
from stock_pipeline.settings.secrets import SecretsSettings, read_secret
from stock_pipeline.settings.section import Section, broken
from stock_pipeline.settings.sources import PollSettings, SourceSettings, StreamSettings
from stock_pipeline.sources.registry import SOURCES

__all__ = [
    "AwsSettings",
    "FeedSettings",
    "KafkaSecurity",
    "KafkaSettings",
    "Settings",
    "SettingsError",
    "SimulatorSettings",
    "get_settings",
    "home",
    "load_settings",
    "project_root",
]

#: STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS sets kafka.bootstrap_servers.
ENVIRONMENT_PREFIX = "STOCK_PIPELINE__"

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
                        f"aws.{name} is missing; set {_variable(('aws', name))} in .env.",
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


def project_root() -> Path:
    """Folder that holds `config/` and `workspace.yaml`."""
    return Path(__file__).resolve().parent.parent.parent


def home() -> Path:
    """Folder of all local state: `$STOCK_PIPELINE_HOME`, else `.stock_pipeline` in the project."""
    return Path(os.environ.get("STOCK_PIPELINE_HOME") or project_root() / ".stock_pipeline")


@cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def load_settings(
    config_file: Path | None = None,
    env_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read and validate the settings.

    Args:
        config_file: YAML file; `$STOCK_PIPELINE_CONFIG`, else `config/app_config.yaml`.
        env_file: `.env` file with secrets; may be absent.
        environment: Overrides, `os.environ` by default.

    Raises:
        SettingsError: A key is unknown, of the wrong type or missing.
    """
    environment = os.environ if environment is None else environment
    config_file = config_file or Path(
        environment.get("STOCK_PIPELINE_CONFIG") or project_root() / "config" / "app_config.yaml"
    )
    env_file = env_file or project_root() / ".env"
    above = _variables(env_file, environment)
    layers = _merged(config_file, {}, above)
    place = layers.place(("secrets", "secret_id"))
    if secret := read_secret(layers.data, place):
        layers = _merged(config_file, secret, above)
    try:
        return Settings.model_validate(layers.data)
    except ValidationError as error:
        # Not chained: the validation error carries the values.
        raise layers.explain(error) from None


def _variables(env_file: Path, environment: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, value and place of every variable of ours, the strongest last; empty is not set."""
    found: list[tuple[str, str, str]] = []
    if env_file.is_file():
        file = _shown(env_file)
        for name, value, place in dotenv_lines(file_text(env_file, file), file):
            found.append((name, value, f"{place} ({name})"))
    found += [(n, value, f"environment variable {n}") for n, value in environment.items()]
    return [v for v in found if v[0].startswith(ENVIRONMENT_PREFIX) and v[1]]


def _merged(
    config_file: Path, secret: Mapping[str, str], variables: list[tuple[str, str, str]]
) -> Layers:
    layers = Layers(Settings, _shown(config_file))
    layers.read_yaml(file_text(config_file, _shown(config_file)))
    for key, value in secret.items():
        layers.override(key.lower().split("."), value, f"Secrets Manager ({key})")
    for name, value, place in variables:
        layers.override(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"), value, place)
    return layers


def _variable(path: KeyPath) -> str:
    return ENVIRONMENT_PREFIX + "__".join(path).upper()


def _shown(file: Path) -> str:
    """The path from the working folder or the project where it lies in one, else as given."""
    for folder in (Path.cwd(), project_root()):
        if file.is_relative_to(folder):
            return str(file.relative_to(folder))
    return str(file)
