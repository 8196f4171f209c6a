"""The keys of the AWS emulator: random, a pair for each home, in a file for AWS's tools too."""

from __future__ import annotations

import configparser
import contextlib
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from stock_pipeline.settings.errors import SettingsError

#: In the home folder; in the format of `~/.aws/credentials`.
FILE_NAME = "aws_credentials"

_NOTE = "# Keys of the AWS emulator that `stock-pipeline dev` starts in this folder.\n"
_ID, _SECRET = "aws_access_key_id", "aws_secret_access_key"


@dataclass(frozen=True)
class EmulatorKeys:
    """What requests to the emulator are signed with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


#: Where no emulator was ever started: the address needs some keys, and nobody accepts these.
NO_KEYS = EmulatorKeys("local", "local")


def emulator_keys(home: Path) -> EmulatorKeys:
    """The keys in a home; `NO_KEYS` where `dev` was never started.

    Raises:
        SettingsError: The file cannot be read, or holds no pair of keys.
    """
    file = home / FILE_NAME
    # No interpolation: a secret may hold a percent sign.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        found = parser["default"]
        return EmulatorKeys(found[_ID], found[_SECRET])
    except FileNotFoundError:
        return NO_KEYS
    except (OSError, ValueError, KeyError, configparser.Error) as error:
        # Not chained: a parser's error quotes the line, which may hold the secret.
        raise SettingsError(
            f"{file} cannot be used ({type(error).__name__}): it holds the keys of the AWS "
            "emulator. Delete it, and the next start of `stock-pipeline dev` makes new ones; the "
            "data stay."
        ) from None


def ensure_emulator_keys(home: Path) -> EmulatorKeys:
    """The keys in a home, made if missing; folder and file are for their owner alone.

    Of several that make them at the same time one wins, and all get the winner's.

    Raises:
        SettingsError: The file is there and cannot be used.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    # An earlier version made the folder readable for others.
    with contextlib.suppress(PermissionError):
        home.chmod(0o700)
    file = home / FILE_NAME
    if file.exists():
        with contextlib.suppress(PermissionError):
            file.chmod(0o600)
        return emulator_keys(home)
    made = EmulatorKeys("LOCAL" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))
    # Whole or not there: a reader never meets half a file. mkstemp's mode is 0600.
    descriptor, temporary = tempfile.mkstemp(dir=home, prefix=f"{FILE_NAME}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(
                f"{_NOTE}[default]\n{_ID} = {made.access_key_id}\n"
                f"{_SECRET} = {made.secret_access_key}\n"
            )
        with contextlib.suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        Path(temporary).unlink()
    return emulator_keys(home)
