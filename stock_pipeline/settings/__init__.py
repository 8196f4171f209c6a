"""Typed settings: YAML, Secrets Manager, `.env`, the environment; the last wins."""

from __future__ import annotations

from stock_pipeline.settings.model import (
    AwsSettings,
    FeedSettings,
    KafkaSecurity,
    KafkaSettings,
    Settings,
    SettingsError,
    SimulatorSettings,
    get_settings,
    home,
    load_settings,
    project_root,
)

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
