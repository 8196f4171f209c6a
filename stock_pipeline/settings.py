"""Typed settings: `config/app_config.yaml`, then `.env`, then the environment; validated once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

#: STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS sets kafka.bootstrap_servers.
ENVIRONMENT_PREFIX = "STOCK_PIPELINE__"

MessageFormat = Literal["trade", "bar", "alpha_vantage_intraday", "index_daily"]
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """The settings cannot be used; the message names the key, the file and the line."""


class Section(BaseModel):
    """A block of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PortSettings(Section):
    """Loopback ports of the local profile."""

    kafka: Port = 29092
    aws: Port = 24566
    dagster: Port = 3000


class KafkaSettings(Section):
    """How to reach the brokers."""

    bootstrap_servers: str = "127.0.0.1:29092"
    request_timeout_seconds: float = Field(default=10.0, gt=0)


class AwsSettings(Section):
    """S3, Glue and Athena. Without `endpoint_url` and keys: AWS, by its default credentials."""

    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    bucket: str = Field(default="stock-pipeline-lake", min_length=3, max_length=63)


class CatalogSettings(Section):
    """The Glue database and how it learns of partitions."""

    database: str = "stock_pipeline"
    method: Literal["crawler", "partitions"] = "crawler"
    crawler_role: str = "arn:aws:iam::000000000000:role/stock-pipeline-crawler"
    timeout_seconds: float = Field(default=900.0, gt=0)


class AthenaSettings(Section):
    """Where gold SQL runs again for parity."""

    workgroup: str = "stock_pipeline"
    timeout_seconds: float = Field(default=300.0, gt=0)
    usd_per_tebibyte: float = Field(default=5.0, ge=0)


class FeedSettings(Section):
    """One Kafka topic and how to read it."""

    topic: str
    format: MessageFormat
    source: str = Field(min_length=1, description="Written to the `source` column of its bars.")
    calendar: str | None = Field(default=None, description="Exchange calendar, else XNYS.")
    partitions: int = Field(default=1, ge=1, le=1000)
    retention_minutes: int = Field(default=7 * 24 * 60, ge=1)
    min_records: int = Field(default=50_000, ge=1)
    max_wait_seconds: float = Field(default=10.0, ge=0)
    max_records: int = Field(default=1_000_000, ge=1)
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    max_batches_in_flight: int = Field(default=2, ge=1, le=100)
    deadline_seconds: int = Field(default=600, ge=10)


class CalendarRule(Section):
    """Symbols that match the pattern (fnmatch) follow this exchange calendar."""

    pattern: str
    calendar: str


class VolatilitySettings(Section):
    """Windows and constants of the gold tables."""

    windows: tuple[int, ...] = (5, 20, 60, 250)
    ewma_lambda: float = Field(default=0.94, gt=0, lt=1)
    sessions_per_year: float = Field(default=252, gt=0)
    sessions_per_year_247: float = Field(default=365, gt=0)


class RefreshSettings(Section):
    """When due silver and gold partitions are made."""

    min_interval_seconds: int = Field(default=30, ge=1)
    max_partitions: int = Field(default=400, ge=1)


class SimulatorSettings(Section):
    """The market simulator that `dev` starts."""

    feed: str = "stock_live_feed"
    enabled: bool = True
    seed: int = 7
    symbols: tuple[str, ...] = ("SIM-ALPHA", "SIM-BETA", "SIM-GAMMA", "SIM-DELTA", "SIM-OMEGA")
    records_per_second: float = Field(default=20, gt=0, le=50_000)
    history_hours: float = Field(default=6, ge=0)
    malformed_share: float = Field(default=0.002, ge=0, le=1)
    late_share: float = Field(default=0.01, ge=0, le=1)
    out_of_order_share: float = Field(default=0.02, ge=0, le=1)
    duplicate_share: float = Field(default=0.01, ge=0, le=1)


class Settings(Section):
    """All settings of the pipeline."""

    profile: Literal["local", "compose", "aws"] = "local"
    ports: PortSettings = PortSettings()
    kafka: KafkaSettings = KafkaSettings()
    aws: AwsSettings = AwsSettings()
    catalog: CatalogSettings = CatalogSettings()
    athena: AthenaSettings = AthenaSettings()
    feeds: dict[str, FeedSettings] = Field(min_length=1)
    calendars: tuple[CalendarRule, ...] = ()
    source_precedence: tuple[str, ...] = ()
    volatility: VolatilitySettings = VolatilitySettings()
    refresh: RefreshSettings = RefreshSettings()
    simulator: SimulatorSettings = SimulatorSettings()

    @property
    def home(self) -> Path:
        """Folder of all local state: `$STOCK_PIPELINE_HOME`, else `.stock_pipeline` here."""
        return home()


def project_root() -> Path:
    """Folder that holds `config/` and `workspace.yaml`."""
    return Path(__file__).resolve().parent.parent


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
    try:
        text = config_file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{config_file}: cannot be read ({error.strerror}).") from error
    data: dict[str, Any] = yaml.safe_load(text) or {}
    overrides = {k: v for k, v in dotenv_values(env_file).items() if v} | dict(environment)
    for name, value in overrides.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            _set(data, name[len(ENVIRONMENT_PREFIX) :].lower().split("__"), value)
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(str(error)) from error


def _set(data: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    data[path[-1]] = yaml.safe_load(value)
