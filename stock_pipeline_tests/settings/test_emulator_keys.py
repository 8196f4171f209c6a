"""The emulator's keys: random, one pair a home, for its owner alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.session
import pytest
from pydantic import SecretStr

from stock_pipeline.settings import Settings, SettingsError, load_settings
from stock_pipeline.settings.emulator_keys import (
    FILE_NAME,
    NO_KEYS,
    emulator_keys,
    ensure_emulator_keys,
)

FEEDS = {"stock_live_feed": {"topic": "t", "format": "trade", "source": "t"}}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = ensure_emulator_keys(home)
    assert ensure_emulator_keys(home) == emulator_keys(home) == made
    assert mode(home) == 0o700
    assert mode(home / FILE_NAME) == 0o600
    assert [path.name for path in home.iterdir()] == [FILE_NAME]
    assert made.secret_access_key not in repr(made)
    assert len(made.secret_access_key) >= 40


def test_every_home_has_its_own_keys(tmp_path: Path) -> None:
    one, other = (ensure_emulator_keys(tmp_path / name) for name in ("a", "b"))
    assert one.access_key_id != other.access_key_id
    assert one.secret_access_key != other.secret_access_key


def test_a_home_of_an_earlier_version_is_closed_to_others_and_keeps_its_data(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / "aws" / "s3").mkdir(parents=True)
    (home / "aws" / "s3" / "object").write_bytes(b"data")
    home.chmod(0o755)
    assert ensure_emulator_keys(home) != NO_KEYS
    assert mode(home) == 0o700
    assert (home / "aws" / "s3" / "object").read_bytes() == b"data"
    (home / FILE_NAME).chmod(0o644)
    ensure_emulator_keys(home)
    assert mode(home / FILE_NAME) == 0o600


def test_whoever_makes_them_at_the_same_time_gets_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: ensure_emulator_keys(tmp_path), range(32)))
    assert len(found) == 1


def test_the_local_profile_takes_the_keys_of_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path))
    keys = ensure_emulator_keys(tmp_path)
    aws = Settings(feeds=FEEDS).aws
    assert aws.access_key_id
    assert aws.secret_access_key
    assert aws.access_key_id.get_secret_value() == keys.access_key_id
    assert aws.secret_access_key.get_secret_value() == keys.secret_access_key
    given = Settings(feeds=FEEDS, aws={"access_key_id": "mine", "secret_access_key": "own"}).aws
    assert given.access_key_id == SecretStr("mine")


def test_awss_own_tools_read_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ensure_emulator_keys(tmp_path)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / FILE_NAME))
    # A person's own keys do not count where the profile is named.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    found = botocore.session.Session(profile="default").get_credentials()
    assert (found.access_key, found.secret_key) == (keys.access_key_id, keys.secret_access_key)


@pytest.mark.parametrize(
    "text", ["", "[default]\naws_access_key_id = a\n", "hunter2\n", "[default]\n = hunter2\n"]
)
def test_a_file_that_holds_no_keys_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(SettingsError, match="holds the keys of the AWS emulator") as caught:
        emulator_keys(tmp_path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_of_another_environment_take_the_keys_of_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_emulator_keys(tmp_path / "here")
    there = ensure_emulator_keys(tmp_path / "there")
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "here"))
    settings = load_settings(environment={"STOCK_PIPELINE_HOME": str(tmp_path / "there")})
    assert settings.aws.access_key_id == SecretStr(there.access_key_id)
    assert settings.aws.secret_access_key == SecretStr(there.secret_access_key)
