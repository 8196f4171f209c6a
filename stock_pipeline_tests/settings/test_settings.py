"""Settings: every wrong one is named with its file and line, and no value is repeated."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from stock_pipeline.settings import (
    KafkaSettings,
    Settings,
    SettingsError,
    load_settings,
    project_root,
)
from stock_pipeline.settings.sections.feeds import FeedSettings
from stock_pipeline.settings.sections.sources import (
    SOURCE_NAMES,
    HistorySettings,
    PollSettings,
    SourceSettings,
    StreamSettings,
)
from stock_pipeline.settings.variables import ENVIRONMENT_PREFIX
from stock_pipeline.sources.registry import SOURCES, source_settings

FEED = """\
feeds:
  stock_live_feed:
    topic: stock_live_feed
    format: trade
    source: trades
"""
SECRET = "hunter2-0123456789"


def load(folder: Path, text: str, dotenv: str = "", **environment: str) -> Settings:
    """Settings of a folder's own files; `KAFKA__X="1"` stands for STOCK_PIPELINE__KAFKA__X."""
    config = folder / "app_config.yaml"
    config.write_text(text, encoding="utf-8")
    (folder / ".env").write_text(dotenv, encoding="utf-8")
    variables = {ENVIRONMENT_PREFIX + name: value for name, value in environment.items()}
    return load_settings(config, folder / ".env", variables)


def problems(folder: Path, text: str, dotenv: str = "", **environment: str) -> list[str]:
    """The lines of the error, with the folder left out."""
    with pytest.raises(SettingsError) as caught:
        load(folder, text, dotenv, **environment)
    chain = repr(caught.value.__cause__)
    assert SECRET not in chain
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_the_shipped_file_is_valid_and_names_every_setting() -> None:
    file = project_root() / "config" / "app_config.yaml"
    shipped = load_settings(file, Path("absent"), {})
    written = yaml.safe_load(file.read_text())
    named = {f"{s}.{k}" for s, part in written.items() if isinstance(part, dict) for k in part}
    dumped = shipped.model_dump()
    expected = {
        f"{section}.{key}"
        for section, part in dumped.items()
        if isinstance(part, dict) and section != "feeds"
        for key in part
    }
    in_env_or_derived = {
        "kafka.bootstrap_servers",
        "aws.endpoint_url",
        "aws.access_key_id",
        "aws.secret_access_key",
        "aws.session_token",
        "aws.profile",
        "aws.role_arn",
        "aws.role_external_id",
    }
    assert expected - named == in_env_or_derived


@pytest.mark.parametrize(
    "section", [FeedSettings, SourceSettings, PollSettings, StreamSettings, HistorySettings]
)
def test_the_shipped_file_names_every_setting_of_what_there_may_be_many_of(section) -> None:
    text = (project_root() / "config" / "app_config.yaml").read_text()
    open_settings = {n for n, f in section.model_fields.items() if f.annotation != SecretStr | None}
    assert {name for name in open_settings if not re.search(rf"\b{name}\b", text)} == set()


def test_changing_a_port_is_one_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_PIPELINE_HOME", str(tmp_path / "home"))
    found = load(tmp_path, FEED, PORTS__KAFKA="19092", PORTS__AWS="4566")
    assert found.kafka.bootstrap_servers == "127.0.0.1:19092"
    assert found.aws.endpoint_url == "http://127.0.0.1:4566"
    assert found.aws.secret_access_key is not None
    assert found.aws.secret_access_key.get_secret_value() == "local"


def test_an_address_that_is_given_wins_over_the_port(tmp_path: Path) -> None:
    found = load(tmp_path, FEED, KAFKA__BOOTSTRAP_SERVERS="a:9092,b:9093", PORTS__KAFKA="19092")
    assert found.kafka.bootstrap_servers == "a:9092,b:9093"


def test_sections_can_be_given_as_objects() -> None:
    feeds = yaml.safe_load(FEED)["feeds"]
    given_one = Settings(feeds=feeds, kafka=KafkaSettings(bootstrap_servers="broker:1"))
    assert given_one.kafka.bootstrap_servers == "broker:1"
    assert Settings(feeds=feeds).kafka.bootstrap_servers == "127.0.0.1:29092"


def test_profile_aws_has_no_address_and_no_keys_of_its_own(tmp_path: Path) -> None:
    found = load(tmp_path, "profile: aws\nkafka: {bootstrap_servers: b:9092}\n" + FEED)
    assert found.aws.endpoint_url is None
    assert found.aws.access_key_id is None


def test_outside_the_local_profile_brokers_and_secrets_are_asked_for_by_name(
    tmp_path: Path,
) -> None:
    lines = problems(tmp_path, "profile: compose\n" + FEED)
    assert any("kafka.bootstrap_servers is missing" in line for line in lines)
    assert any("STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY in .env" in line for line in lines)


def test_half_a_pair_of_keys_names_the_other_half(tmp_path: Path) -> None:
    lines = problems(tmp_path, FEED, f"STOCK_PIPELINE__AWS__ACCESS_KEY_ID={SECRET}\n")
    assert lines == [
        (
            ".env:1 (STOCK_PIPELINE__AWS__ACCESS_KEY_ID): aws.secret_access_key is missing; "
            "set STOCK_PIPELINE__AWS__SECRET_ACCESS_KEY in .env."
        )
    ]


def test_a_secret_is_taken_letter_by_letter(tmp_path: Path) -> None:
    dotenv = "STOCK_PIPELINE__AWS__ACCESS_KEY_ID=0123\n"
    found = load(tmp_path, FEED, dotenv, AWS__SECRET_ACCESS_KEY="a # {b: *c")
    assert found.aws.access_key_id is not None
    assert found.aws.secret_access_key is not None
    assert found.aws.access_key_id.get_secret_value() == "0123"
    assert found.aws.secret_access_key.get_secret_value() == "a # {b: *c"


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(tmp_path: Path) -> None:
    text = "aws: {bucket: from-file, region: from-file}\n" + FEED
    dotenv = (
        "STOCK_PIPELINE__AWS__BUCKET=from-env-file\nSTOCK_PIPELINE__AWS__REGION=from-env-file\n"
    )
    found = load(tmp_path, text, dotenv, AWS__REGION="from-environment")
    assert (found.aws.bucket, found.aws.region) == ("from-env-file", "from-environment")


def test_an_empty_variable_means_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, FEED, PORTS__KAFKA="").ports.kafka == 29092


def test_a_feed_with_hyphens_can_be_overridden(tmp_path: Path) -> None:
    text = FEED + "  stock-data-stream: {topic: a, format: bar, source: b}\n"
    found = load(tmp_path, text, FEEDS__STOCK_DATA_STREAM__TOPIC="other")
    assert found.feeds["stock-data-stream"].topic == "other"


def test_lists_are_yaml_in_the_environment(tmp_path: Path) -> None:
    found = load(tmp_path, FEED, VOLATILITY__WINDOWS="[5, 10]", SIMULATOR__ENABLED="false")
    assert found.volatility.windows == (5, 10)
    assert found.simulator.enabled is False


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("profil: local\n" + FEED, "app_config.yaml:1: profil is not a setting (did you mean pro"),
        (
            FEED + "kafka:\n  bootstrap_server: a:1\n",
            (
                "app_config.yaml:7: kafka.bootstrap_server is not a setting (did you mean "
                "bootstrap_servers?); kafka takes bootstrap_servers, request_timeout_seconds, "
                "security."
            ),
        ),
        (
            FEED + "    topci: x\n",
            "app_config.yaml:6: feeds.stock_live_feed.topci is not a setting (did you mean topic?)",
        ),
        (
            FEED + "ports: {kafka: many}\n",
            "app_config.yaml:6: ports.kafka must be a whole number, at least 1 and at most 65535.",
        ),
        (FEED + "ports: {kafka: 70000}\n", "app_config.yaml:6: ports.kafka must be a whole number"),
        (FEED + "ports: {kafka: true}\n", "app_config.yaml:6: ports.kafka must be a whole number"),
        (
            FEED + "profile: prod\n",
            "app_config.yaml:6: profile must be one of local, compose, aws.",
        ),
        (FEED + "aws: {region: 12}\n", "app_config.yaml:6: aws.region must be text."),
        (FEED + "aws: {bucket: Ab_c}\n", "app_config.yaml:6: aws.bucket must be text, at least 3"),
        (FEED + "refresh: fast\n", "app_config.yaml:6: refresh must be a section of min_interval"),
        (FEED + "volatility: {ewma_lambda: .nan}\n", "app_config.yaml:6: volatility.ewma_lambda"),
        (
            FEED + "volatility:\n  windows:\n    - 5\n    - x\n",
            "app_config.yaml:9: volatility.windows.1 must be a whole number, at least 2",
        ),
        (
            "feeds:\n  a: {topic: a, source: b}\n",
            "app_config.yaml:2: feeds.a.format is missing; it must be one of trade, bar, ",
        ),
        ("ports: {kafka: 1}\n", "app_config.yaml: feeds is missing; it must be at least one named"),
        ("feeds: {}\n", "app_config.yaml:1: feeds must be at least one named section."),
        ("", "app_config.yaml: feeds is missing"),
        ("- a\n", "app_config.yaml:1: the settings must be `key: value` lines."),
        ("a: [1\nb: 2\n", "app_config.yaml:2: this is not valid YAML"),
        ("a: 1\n\tb: 2\n", "app_config.yaml:2: this is not valid YAML"),
        ("a: 2024-13-01\n", "app_config.yaml:1: this value is not valid YAML."),
        (
            FEED + "kafka: {}\nkafka: {}\n",
            "app_config.yaml:7: kafka is set a second time; the first is in line 6",
        ),
        (FEED + "    topic: b\n", "app_config.yaml:6: feeds.stock_live_feed.topic is set a second"),
    ],
)
def test_a_wrong_setting_is_named_with_file_and_line(tmp_path: Path, text: str, line: str) -> None:
    found = problems(tmp_path, text)
    assert any(one.startswith(line) for one in found), found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            FEED + "simulator: {feed: stock_live_fed}\n",
            "app_config.yaml:6: simulator.feed is no fe",
        ),
        (
            FEED + "source_precedence:\n  - trades\n  - trade\n",
            "app_config.yaml:8: source_precedence: no feed's source is trade (did you mean tra",
        ),
        (
            FEED + "  a/b: {topic: a, format: bar, source: b}\n",
            "app_config.yaml:6: feeds.a/b: a fe",
        ),
        (
            FEED + "  b: {topic: ü, format: bar, source: b}\n",
            "app_config.yaml:6: feeds.b.topic mus",
        ),
        (FEED + "  b: {topic: .., format: bar, source: b}\n", "app_config.yaml:6: feeds.b.topic c"),
        (
            FEED + "  b: {topic: stock.live.feed, format: bar, source: b}\n",
            "app_config.yaml:6: feeds.b.topic is the topic of stock_live_feed; one topic",
        ),
        (
            FEED + "  stock-live-feed: {topic: c, format: bar, source: b}\n",
            "app_config.yaml:6: feeds.stock-live-feed differs from stock_live_feed only in",
        ),
        (
            FEED + "    max_records: 10\n",
            "app_config.yaml:2: feeds.stock_live_feed.min_records must be at most its max_records.",
        ),
        (
            FEED + "volatility: {windows: [5, 5]}\n",
            "app_config.yaml:6: volatility.windows must not",
        ),
        (FEED + "ports: {aws: 3000}\n", "app_config.yaml:6: ports must not hold the same value tw"),
        (
            FEED + "polls:\n  us: {source: yaho, feed: stock_live_feed}\n",
            "app_config.yaml:7: polls.us.source is no source (did you mean yahoo?); sources: ",
        ),
        (
            FEED + "streams:\n  us: {source: finnhub, feed: stock_live}\n",
            "app_config.yaml:7: streams.us.feed is no feed (did you mean stock_live_feed?)",
        ),
        (
            FEED + "streams:\n  a/b: {source: finnhub, feed: stock_live_feed}\n",
            "app_config.yaml:7: streams.a/b: a name takes letters",
        ),
        (
            FEED + "polls:\n  us: {source: yahoo, feed: stock_live_feed, every: 30s}\n",
            "app_config.yaml:7: polls.us.every must be one of 1m, 2m",
        ),
        (
            FEED + "history:\n  yaho: {symbols: [IBM]}\n",
            "app_config.yaml:7: history.yaho is no source (did you mean yahoo?); sources: ",
        ),
        (
            FEED + "history:\n  yahoo: {symbols: [IBM], daily: false}\n",
            "app_config.yaml:7: history.yahoo has neither daily nor intraday bars; remove it.",
        ),
        (
            FEED + "history:\n  yahoo: {symbols: [IBM, A...B]}\n",
            "app_config.yaml:7: history.yahoo.symbols must not hold '...'",
        ),
        (
            FEED + "history:\n  yahoo: {symbols: [IBM, IBM]}\n",
            "app_config.yaml:7: history.yahoo.symbols must not hold the same symbol twice.",
        ),
        (
            FEED + "history:\n  yahoo: {symbols: [A|B]}\n",
            "app_config.yaml:7: history.yahoo.symbols",
        ),
        (
            FEED.replace("source: trades", "source: massive")
            + "history:\n  massive: {symbols: [IBM]}\n",
            "app_config.yaml:7: history.massive would have the same rows as the bars made from",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_named(tmp_path: Path, text: str, line: str) -> None:
    found = problems(tmp_path, text)
    assert any(one.startswith(line) for one in found), found


def test_several_errors_are_listed_one_per_line(tmp_path: Path) -> None:
    found = problems(tmp_path, FEED + "profile: x\nports:\n  kafka: y\n  asw: 1\n")
    assert [line.split(":")[1] for line in found] == ["6", "8", "9"]


def test_an_override_is_named_by_its_variable(tmp_path: Path) -> None:
    assert problems(tmp_path, FEED, KAFKA__BOOTSTRAP_SERVER="x") == [
        (
            "environment variable STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVER: kafka.bootstrap_server "
            "is not a setting (did you mean bootstrap_servers?); kafka takes bootstrap_servers, "
            "request_timeout_seconds, security."
        )
    ]
    (line,) = problems(tmp_path, FEED, PROFILE__X="1")
    assert line.endswith("profile is one value and has no parts.") or "PROFILE__X" in line
    (line,) = problems(tmp_path, FEED, VOLATILITY__WINDOWS="[5")
    assert line.endswith(
        "STOCK_PIPELINE__VOLATILITY__WINDOWS: volatility.windows must be a list in YAML."
    )


def test_a_dotenv_line_is_named_by_its_number(tmp_path: Path) -> None:
    dotenv = f"# keys\n\nexport STOCK_PIPELINE__AWS__SECRET_KEY='{SECRET}'\n"
    (line,) = problems(tmp_path, FEED, dotenv)
    assert line.startswith(
        ".env:3 (STOCK_PIPELINE__AWS__SECRET_KEY): aws.secret_key is not a setting"
    )
    (line,) = problems(tmp_path, FEED, f"A=1\n'{SECRET} x\n")
    assert line == ".env:2: this line is not NAME=value."


@pytest.mark.parametrize(
    "text",
    [
        f"aws: {SECRET}\n" + FEED,
        f"aws: {{secret_access_key: [{SECRET}]}}\n" + FEED,
        f"aws: {{secret_access_key: *{SECRET}}}\n" + FEED,
        f"aws: {{secret_access_key: !{SECRET} x}}\n" + FEED,
        f"aws: {{secret_access_key: &{SECRET} *{SECRET}}}\n" + FEED,
        f"aws: {{secret_acces_key: {SECRET}}}\n" + FEED,
        f'aws: {{secret_access_key: "{SECRET}\n' + FEED,
        f"aws: {{region: us, access_key_id: {SECRET}}}\n" + FEED,
        f"aws: {{access_key_id: {SECRET}, secret_access_key: {SECRET}}}\nprofile: x\n" + FEED,
    ],
)
def test_no_error_repeats_a_value(tmp_path: Path, text: str) -> None:
    assert not any(SECRET in line for line in problems(tmp_path, text))


def test_printed_settings_hide_secrets(tmp_path: Path) -> None:
    found = load(tmp_path, FEED, AWS__ACCESS_KEY_ID=SECRET, AWS__SECRET_ACCESS_KEY=SECRET)
    assert SECRET not in repr(found)
    assert SECRET not in found.model_dump_json()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml: cannot be read \(No such file"):
        load_settings(tmp_path / "absent.yaml", None, {})


SECTIONS = {
    name: set(info.annotation.model_fields)
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and hasattr(info.annotation, "model_fields")
}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (FEED + "\tports: {}\n", "app_config.yaml:6: this is not valid YAML (found character"),
        (
            FEED + 'aws: {region: "us\n',
            "app_config.yaml:7: this is not valid YAML (found unexpected",
        ),
        (
            FEED + "aws: {region: *us}\n",
            "app_config.yaml:6: this is not valid YAML (found undefined",
        ),
        (FEED + "x: !env HOME\n", "app_config.yaml:6: this is not valid YAML (could not determine"),
        (
            FEED + "---\nx: 1\n",
            "app_config.yaml:6: this is not valid YAML (but found another docum",
        ),
        (
            FEED + "aws: {region: a, region: b}\n",
            "app_config.yaml:6: aws.region is set a second ti",
        ),
        (FEED + "on: 1\n", "app_config.yaml:6: this key is not text; put it in quotes."),
        (FEED + "2026-01-01: 1\n", "app_config.yaml:6: this key is not text; put it in quotes."),
        (FEED + "x: \0\n", "app_config.yaml:6: this line holds a control character."),
    ],
)
def test_a_file_that_is_no_yaml_is_one_sentence_with_its_line(
    tmp_path: Path, text: str, line: str
) -> None:
    (said,) = problems(tmp_path, text)
    assert said.startswith(line)
    assert said.endswith(".")


@pytest.mark.parametrize(
    "data", [bytes(range(256)), FEED.encode("utf-16"), (FEED + "# ü").encode("latin-1")]
)
@pytest.mark.parametrize("name", ["app_config.yaml", ".env"])
def test_a_file_that_is_not_utf8_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / "app_config.yaml").write_text(FEED)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingsError, match=rf"/{re.escape(name)}: is not text in UTF-8\.$"):
        load_settings(tmp_path / "app_config.yaml", tmp_path / ".env", {})


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r": cannot be read \(Is a directory\)\.$"):
        load_settings(tmp_path, tmp_path / "absent", {})


def test_anchors_aliases_and_merged_keys_are_taken(tmp_path: Path) -> None:
    text = (
        "feeds:\n  a: &a {topic: a, format: trade, source: s}\n"
        "  b: {<<: *a, topic: b}\nsimulator: {feed: a}\n"
    )
    assert load(tmp_path, text).feeds["b"].format == "trade"
    (said, *_) = problems(tmp_path, text.replace("topic: b", "topci: b"))
    assert said.startswith(
        "app_config.yaml:3: feeds.b.topci is not a setting (did you mean topic?)"
    )


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    section=st.sampled_from(sorted(SECTIONS)),
    key=st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=30),
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=10)
    | st.lists(st.integers()),
)
def test_any_unknown_key_of_any_section_is_refused_with_its_line(
    tmp_path: Path, section: str, key: str, value: object
) -> None:
    if key in SECTIONS[section]:
        return
    text = FEED + f"{section}:\n" + yaml.safe_dump({"x": {key: value}}).removeprefix("x:\n")
    found = problems(tmp_path, text)
    assert any(f"app_config.yaml:7: {section}.{key} is not a setting" in line for line in found)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text("ab:-[]{}&*!|>'\"#%@ \n\t0,?<", max_size=40))
def test_any_text_is_settings_or_a_settings_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load(tmp_path, text)


def test_settings_are_read_without_heavy_imports() -> None:
    script = (
        "import sys, stock_pipeline.settings; "
        "heavy = set('dagster boto3 botocore pandas pyarrow duckdb exchange_calendars'.split()); "
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_source_that_settings_name_has_a_module() -> None:
    assert tuple(SOURCES) == SOURCE_NAMES


def test_a_source_keeps_its_modules_defaults_where_the_user_says_nothing(tmp_path: Path) -> None:
    given = f"{FEED}sources:\n  alpha_vantage: {{requests_per_day: , attempts: 2}}\n"
    found = load(tmp_path, given, SOURCES__ALPHA_VANTAGE__API_KEY=SECRET)
    chosen = source_settings(found, "alpha_vantage")
    assert (chosen.requests_per_day, chosen.requests_per_second, chosen.attempts) == (None, 1, 2)
    assert chosen.api_key is not None
    assert chosen.api_key.get_secret_value() == SECRET
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "  alpha_vantag: {attempts: 2}",
            "app_config.yaml:7: sources.alpha_vantag is no source (did you mean alpha_vantage?);",
        ),
        (
            "  alpha_vantage: {base_url: 'http://www.alphavantage.co'}",
            "app_config.yaml:7: sources.alpha_vantage.base_url must be text (https://host/path; ",
        ),
        (
            "  alpha_vantage: {requests_per_day: 0}",
            "app_config.yaml:7: sources.alpha_vantage.requests_per_day must be a whole number, at ",
        ),
        ("  alpha_vantage: {key: 1}", "app_config.yaml:7: sources.alpha_vantage.key is not a"),
    ],
)
def test_a_wrong_source_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    found = problems(tmp_path, f"{FEED}sources:\n{line}\n")
    assert len(found) == 1
    assert found[0].startswith(problem)
