"""Typed settings: YAML, Secrets Manager, `.env`, the environment; the last wins."""

from __future__ import annotations

from stock_pipeline.settings.errors import SettingsError
from stock_pipeline.settings.load import get_settings, load_settings
from stock_pipeline.settings.model import Settings
from stock_pipeline.settings.places import home, project_root
from stock_pipeline.settings.sections.aws import AwsSettings
from stock_pipeline.settings.sections.feeds import FeedSettings
from stock_pipeline.settings.sections.kafka import KafkaSecurity, KafkaSettings
from stock_pipeline.settings.sections.local import SimulatorSettings

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
