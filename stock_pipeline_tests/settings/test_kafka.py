"""Settings of Kafka's security: what belongs together is asked for together, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from stock_pipeline.settings import Settings, SettingsError, load_settings

FEED = (
    "feeds: {trades: {topic: trades, format: trade, source: trades}}\nsimulator: {feed: trades}\n"
)
VARIABLE = "STOCK_PIPELINE__KAFKA__SECURITY__"
SECRET = "hunter2-0123456789"


def load(folder: Path, security: str, dotenv: str = "", **environment: str) -> Settings:
    """Settings with this `kafka.security`, the variables without their prefix."""
    config = folder / "app_config.yaml"
    config.write_text(f"{FEED}kafka:\n  security: {{{security}}}\n", encoding="utf-8")
    (folder / ".env").write_text(dotenv, encoding="utf-8")
    variables = {VARIABLE + name: value for name, value in environment.items()}
    return load_settings(config, folder / ".env", variables)


def problems(folder: Path, security: str, dotenv: str = "", **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, security, dotenv, **environment)
    assert SECRET not in str(caught.value) + repr(caught.value.__cause__)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_without_settings_kafka_is_plaintext(tmp_path: Path) -> None:
    security = load(tmp_path, "").kafka.security
    assert (security.protocol, security.tls, security.sasl) == ("plaintext", False, False)


def test_the_password_comes_from_dotenv_and_never_prints(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "protocol: sasl_ssl, mechanism: SCRAM-SHA-512, username: me",
        f"{VARIABLE}PASSWORD={SECRET}\n",
    )
    password = found.kafka.security.password
    assert password is not None
    assert password.get_secret_value() == SECRET
    assert SECRET not in f"{found!r} {found} {found.model_dump_json()} {found.model_dump()}"


def test_relative_files_start_at_the_project(tmp_path: Path) -> None:
    found = load(tmp_path, "protocol: ssl, ca_file: pyproject.toml").kafka.security
    assert found.ca_file is not None
    assert found.ca_file.is_absolute()


@pytest.mark.parametrize(
    ("security", "environment", "lines"),
    [
        (
            "protocol: tls",
            {},
            ["kafka.security.protocol must be one of plaintext, ssl, sasl_plaintext, sasl_ssl."],
        ),
        (
            "protocol: sasl_ssl",
            {},
            ["kafka.security.mechanism is missing; protocol sasl_ssl needs it."],
        ),
        (
            "protocol: sasl_ssl, mechanism: PLAIN",
            {},
            [
                "kafka.security.username is missing; mechanism PLAIN needs it.",
                (
                    "kafka.security.password is missing; mechanism PLAIN needs it; set "
                    f"{VARIABLE}PASSWORD in .env."
                ),
            ],
        ),
        (
            "mechanism: PLAIN, username: me",
            {"PASSWORD": SECRET},
            [
                f"kafka.security.{key} is set, but protocol plaintext makes no use of it: remove "
                "one of the two."
                for key in ("mechanism", "username", "password")
            ],
        ),
        (
            "protocol: sasl_plaintext, mechanism: PLAIN, username: me, ca_file: pyproject.toml",
            {"PASSWORD": SECRET},
            [
                (
                    "kafka.security.ca_file is set, but protocol sasl_plaintext makes no use of "
                    "it: remove one of the two."
                )
            ],
        ),
        (
            "protocol: ssl, ca_file: absent.pem, key_file: pyproject.toml",
            {},
            [
                ("kafka.security.certificate_file is missing; key_file needs it."),
                (
                    "kafka.security.ca_file {project}/absent.pem cannot be read (No such file or "
                    "directory)."
                ),
            ],
        ),
        (
            "protocol: ssl, certificate_file: pyproject.toml",
            {"KEY_PASSWORD": SECRET},
            [
                "kafka.security.key_file is missing; certificate_file needs it.",
                "kafka.security.key_file is missing; key_password needs it.",
            ],
        ),
        (
            "protocol: sasl_plaintext, mechanism: AWS_MSK_IAM, username: me",
            {},
            [
                (
                    "kafka.security.username is set, but mechanism AWS_MSK_IAM makes no use of "
                    "it: remove one of the two."
                ),
                "kafka.security.region is missing; mechanism AWS_MSK_IAM needs it.",
                "kafka.security.protocol must be sasl_ssl; MSK takes IAM over TLS only.",
            ],
        ),
        (
            "protocol: sasl_ssl, mechanism: PLAIN, username: me, region: eu-west-1",
            {"PASSWORD": SECRET},
            [
                (
                    "kafka.security.region is set, but mechanism PLAIN makes no use of it: "
                    "remove one of the two."
                )
            ],
        ),
        (
            "protocol: sasl_ssl, mechanism: AWS_MSK_IAM, region: Frankfurt, role_arn: me",
            {},
            [
                "kafka.security.region must be text (such as eu-central-1).",
                "kafka.security.role_arn must be text (arn:aws:iam::<account>:role/<name>).",
            ],
        ),
    ],
)
def test_what_does_not_belong_together_is_named(
    tmp_path: Path, security: str, environment: dict[str, str], lines: list[str]
) -> None:
    from stock_pipeline.settings import project_root

    found = problems(tmp_path, security, **environment)
    assert [line.partition(": ")[2] for line in found] == [
        line.format(project=project_root()) for line in lines
    ]


def test_a_setting_of_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "protocol: ssl", PASSWORD=SECRET)
    assert line.startswith(f"environment variable {VARIABLE}PASSWORD: kafka.security.password is")
