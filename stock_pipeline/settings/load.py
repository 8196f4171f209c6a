"""Read the layers of settings, weakest first, and validate them once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from stock_pipeline.settings.errors import SettingsError
from stock_pipeline.settings.layers import Layers
from stock_pipeline.settings.model import Settings
from stock_pipeline.settings.places import home, project_root, shown
from stock_pipeline.settings.secrets import named_secret, read_secret
from stock_pipeline.settings.sections.section import HOME, INCOMPLETE
from stock_pipeline.settings.variables import Variable, of_dotenv, of_environment


@cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: See `load_settings`.
    """
    return load_settings()


def load_settings(
    config_file: Path | None = None,
    env_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    with_secret: bool = True,
) -> Settings:
    """Read and validate the settings.

    Args:
        config_file: YAML file; `$STOCK_PIPELINE_CONFIG`, else `config/app_config.yaml`.
        env_file: `.env` file with secrets; may be absent.
        environment: Overrides, `os.environ` by default.
        with_secret: Whether to ask Secrets Manager where `secrets.secret_id` is set. Without it
            there is no network call: what the secret would set keeps its default, and no Kafka or
            AWS setting is reported as missing, since the secret may hold it.

    Raises:
        SettingsError: A key is unknown, of the wrong type or missing, or the secret cannot be read.
    """
    environment = os.environ if environment is None else environment
    config_file = config_file or Path(
        environment.get("STOCK_PIPELINE_CONFIG") or project_root() / "config" / "app_config.yaml"
    )
    env_file = env_file or project_root() / ".env"
    here = home(environment)
    above = [*_dotenv(env_file), *of_environment(environment)]
    layers = _merged(config_file, above)
    secret_id = named_secret(layers.data)
    if secret_id and with_secret:
        place = layers.place(("secrets", "secret_id"))
        secret = read_secret(secret_id, layers.data, place, here)
        layers = _merged(config_file, [*secret, *above])
    context = {INCOMPLETE: bool(secret_id and not with_secret), HOME: here}
    try:
        return Settings.model_validate(layers.data, context=context)
    except ValidationError as error:
        # Not chained: the validation error carries the values.
        raise layers.explain(error) from None


def _dotenv(file: Path) -> Iterator[Variable]:
    if file.is_file():
        yield from of_dotenv(_text(file), shown(file))


def _merged(config_file: Path, variables: Iterable[Variable]) -> Layers:
    """The file, and over it the variables, the strongest last."""
    layers = Layers(Settings, shown(config_file))
    layers.read_yaml(_text(config_file))
    for variable in variables:
        layers.override(variable)
    return layers


def _text(file: Path) -> str:
    """The text of a file, without byte order mark.

    Raises:
        SettingsError: It cannot be read, or is not text in UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{shown(file)}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{shown(file)}: is not text in UTF-8.") from None
