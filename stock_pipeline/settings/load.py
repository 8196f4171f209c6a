"""Read the layers of settings, weakest first, and validate them once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from stock_pipeline.settings.layers import Layers, dotenv_lines, file_text
from stock_pipeline.settings.model import Settings
from stock_pipeline.settings.places import ENVIRONMENT_PREFIX, project_root, shown
from stock_pipeline.settings.secrets import read_secret


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
        file = shown(env_file)
        for name, value, place in dotenv_lines(file_text(env_file, file), file):
            found.append((name, value, f"{place} ({name})"))
    found += [(n, value, f"environment variable {n}") for n, value in environment.items()]
    return [v for v in found if v[0].startswith(ENVIRONMENT_PREFIX) and v[1]]


def _merged(
    config_file: Path, secret: Mapping[str, str], variables: list[tuple[str, str, str]]
) -> Layers:
    layers = Layers(Settings, shown(config_file))
    layers.read_yaml(file_text(config_file, shown(config_file)))
    for key, value in secret.items():
        layers.override(key.lower().split("."), value, f"Secrets Manager ({key})")
    for name, value, place in variables:
        layers.override(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"), value, place)
    return layers
