"""Any bytes as settings file, `.env` or environment: settings, or sentences with file and line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_pipeline.settings import Settings, SettingsError, load_settings
from stock_pipeline.settings import project_root as root
from stock_pipeline.settings.variables import ENVIRONMENT_PREFIX
from stock_pipeline_tests.fuzz.corpus import VALUES

FEED = "feeds:\n  a: {topic: a, format: trade, source: s}\nsimulator: {feed: a}\n"
SHIPPED = (root() / "config" / "app_config.yaml").read_text(encoding="utf-8")
SECRET = "hunter2-0123456789"

#: `file:line: `, `file: ` or `environment variable NAME: `, then a sentence.
SENTENCE = re.compile(
    r"^((app_config\.yaml|\.env)(:\d+)?( \(.*\))?|environment variable .*?): \S.*$"
)

fuzz = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def outcome(
    folder: Path, config: bytes, dotenv: bytes = b"", environment: Mapping[str, str] | None = None
) -> str:
    """The error's lines, or nothing; anything but settings or an error in sentences fails."""
    (folder / "app_config.yaml").write_bytes(config)
    (folder / ".env").write_bytes(dotenv)
    try:
        found = load_settings(folder / "app_config.yaml", folder / ".env", environment or {})
    except SettingsError as error:
        said, cause = str(error).replace(f"{folder}/", ""), repr(error.__cause__)
    else:
        found.model_dump_json()
        return ""
    said.encode()
    for line in said.splitlines():
        assert SENTENCE.match(line), line
        assert line.isprintable(), line
    assert SECRET not in said + cause
    return said


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "deep": (FEED + "x: " + "[" * 900, "app_config.yaml:4: this is not valid YAML."),
    "object": (FEED + "x: !!python/object/apply:os.abort []", "app_config.yaml:4: this is not val"),
    "name": (FEED + "x: !!python/name:os.system", "app_config.yaml:4: this is not valid YAML"),
    "NUL": (FEED + "x: \0", "app_config.yaml:4: this line holds a control character."),
    "escaped NUL": (FEED + 'aws: {region: "\\0"}', "app_config.yaml:4: this value holds a control"),
    "surrogate": (FEED + 'aws: {region: "\\ud800"}', "app_config.yaml:4: this value holds a contr"),
    "no character": (FEED + 'x: "\\Uffffffff"', "app_config.yaml:4: this is not valid YAML."),
    "month 13": (FEED + "x: 2026-13-01", "app_config.yaml:4: this value is not valid YAML."),
    "9...9": (
        FEED + "ports: {kafka: " + "9" * 5000 + "}",
        "app_config.yaml:4: this value is not v",
    ),
    "null key": (FEED + "~: 1", "app_config.yaml:4: this key is not text; put it in quotes."),
    "date key": (FEED + "2026-01-01: 1", "app_config.yaml:4: this key is not text; put it in quot"),
    "feed of number": ("feeds: {1: {topic: a}}", "app_config.yaml:1: this key is not text; put it"),
    "list key": (FEED + "? [a]\n: 1", "app_config.yaml:4: this key is not text; put it in quotes."),
    "line end in a name": (
        'feeds: {"a\\n": {topic: a, format: bar, source: s}}',
        "app_config.yaml:1",
    ),
    "path as name": (
        "feeds: {../a: {topic: a, format: bar, source: s}}",
        "app_config.yaml:1: feeds",
    ),
    "long name": (
        f"feeds: {{{'a' * 101}: {{topic: a, format: bar, source: s}}}}",
        "app_config.yaml:1",
    ),
    "long source": (
        FEED.replace("source: s", "source: " + "s" * 65),
        "app_config.yaml:2: feeds.a.s",
    ),
    "hidden source": (
        FEED.replace("source: s", 'source: "a\\u202e"'),
        "app_config.yaml:2: feeds.a.s",
    ),
    "hidden secret": (
        FEED + 'secrets: {secret_id: "\\ud7fc"}',
        "app_config.yaml:4: secrets.secret_id must be text (a name or an ARN of letters",
    ),
    "bytes": (bytes(range(256)), "app_config.yaml: is not text in UTF-8."),
    "UTF-16": (FEED.encode("utf-16"), "app_config.yaml: is not text in UTF-8."),
    "Latin-1": ((FEED + "# ü").encode("latin-1"), "app_config.yaml: is not text in UTF-8."),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_settings_file_is_refused_in_a_sentence_with_its_line(
    tmp_path: Path, name: str
) -> None:
    text, expected = BROKEN[name]
    config = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    assert outcome(tmp_path, config).startswith(expected)


@pytest.mark.parametrize(
    "value", ["[2026-13-01]", "[" * 900, "!!python/name:os.system", '"\\Uffffffff"']
)
def test_broken_yaml_in_a_variable_names_the_variable(tmp_path: Path, value: str) -> None:
    name = f"{ENVIRONMENT_PREFIX}CALENDARS"
    for variables in ({"environment": {name: value}}, {"dotenv": f"{name}='{value}'".encode()}):
        said = outcome(tmp_path, FEED.encode(), **variables)  # type: ignore[arg-type]
        assert said.endswith("calendars must be a list in YAML.")
        assert name in said


def test_what_is_not_utf8_in_the_environment_is_named(tmp_path: Path) -> None:
    for name, value in (("AWS__REGION", "\udcff"), ("\udcff", "1"), ("AWS__REGION", "a\0")):
        said = outcome(tmp_path, FEED.encode(), environment={ENVIRONMENT_PREFIX + name: value})
        assert said.endswith("holds a control character or what is not UTF-8.")


def test_a_byte_order_mark_hides_no_first_line(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    dotenv = f"{ENVIRONMENT_PREFIX}PORTS__KAFKA=none\n".encode()
    assert "ports.kafka must be a whole number" in outcome(tmp_path, FEED.encode(), mark + dotenv)
    assert outcome(tmp_path, mark + FEED.encode()) == ""


def test_aliases_and_merges_within_reason_are_taken(tmp_path: Path) -> None:
    text = (
        "feeds:\n  a: &a {topic: a, format: trade, source: s}\n"
        "  b: {<<: *a, topic: b}\nsimulator: {feed: a}\n"
    )
    assert outcome(tmp_path, text.encode()) == ""


def test_thousands_of_errors_are_counted_not_listed(tmp_path: Path) -> None:
    said = outcome(tmp_path, (FEED + "".join(f"k{n}: 1\n" for n in range(300))).encode())
    assert len(said.splitlines()) == 51
    assert said.endswith("and 250 more of the kind.")


LINES = SHIPPED.splitlines()
PIECES = st.sampled_from(
    [*VALUES, *"&*!<-:?|>%@`{}[]#\t.~\x85\u2028\ufeff", "&a", "*a", "!!x", "<<:", "---", "..."]
)


@st.composite
def changed_files(draw: st.DrawFn) -> bytes:
    """The shipped file with lines changed, moved or cut, and bytes put in."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines[at] = lines[at].split(":")[0] + ": " + draw(PIECES | st.text(max_size=20))
        elif kind == 2:
            lines.insert(at, draw(PIECES))
        elif kind == 3:
            lines[at] = draw(st.sampled_from((" ", "  ", "\t", "- "))) + lines[at]
        else:
            lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
        lines = lines or [""]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=3)) + data[place:]
    return data


@fuzz
@given(config=changed_files())
def test_any_change_of_the_shipped_file_gives_settings_or_sentences(
    tmp_path: Path, config: bytes
) -> None:
    outcome(tmp_path, config)


NAMES = st.sampled_from(
    [
        *("AWS__REGION", "KAFKA", "FEEDS", "FEEDS__A", "FEEDS__A__TOPIC", "CALENDARS", "SIMULATOR"),
        *("PORTS__KAFKA", "VOLATILITY__WINDOWS", "SOURCE_PRECEDENCE", "", "__", "A__" * 20),
    ]
)
TEXTS = PIECES | st.text(max_size=30) | st.binary(max_size=20).map(lambda b: b.decode("latin-1"))


@fuzz
@given(values=st.dictionaries(NAMES, TEXTS, max_size=4), raw=st.binary(max_size=60))
def test_any_variables_give_settings_or_sentences(
    tmp_path: Path, values: Mapping[str, str], raw: bytes
) -> None:
    named = {f"{ENVIRONMENT_PREFIX}{n}": v for n, v in values.items()}
    outcome(tmp_path, FEED.encode(), environment=named)
    lines = [f"{name}={value}".encode("utf-8", "surrogatepass") for name, value in named.items()]
    outcome(tmp_path, FEED.encode(), dotenv=b"\n".join([*lines, raw]))


@fuzz
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    ),
    section=st.sampled_from(sorted(Settings.model_fields)),
)
def test_any_value_of_any_section_gives_settings_or_sentences(
    tmp_path: Path, data: object, section: str
) -> None:
    text = yaml.safe_dump({"feeds": {"a": {"topic": "a"}}} | {section: data}, allow_unicode=True)
    outcome(tmp_path, text.encode("utf-8", "surrogatepass"))


def test_the_check_of_sentences_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (
        ValueError("traceback"),
        SettingsError("no place at all"),
        SettingsError(f"app_config.yaml:1: {SECRET}"),
    ):
        monkeypatch.setattr(f"{__name__}.load_settings", Mock(side_effect=error))
        with pytest.raises((AssertionError, ValueError)):
            outcome(tmp_path, b"")
